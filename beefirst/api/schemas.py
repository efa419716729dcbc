"""What goes over the wire: requests, answers, and the examples that the documentation shows."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from beefirst.registration.credentials import (
    ADDRESS_MAX_LENGTH,
    CODE_DIGITS,
    PASSWORD_MAX_BYTES,
    PASSWORD_MIN_CHARACTERS,
    check_password,
    normalise_address,
)


def _check_secret(password: SecretStr) -> SecretStr:
    check_password(password.get_secret_value())
    return password


class Request(BaseModel):
    """A body whose values never show in an error."""

    model_config = ConfigDict(hide_input_in_errors=True)


class RegisterRequest(Request):
    """An address to claim, and the password that will open the account."""

    email: Annotated[str, AfterValidator(normalise_address)] = Field(
        description=f"At most {ADDRESS_MAX_LENGTH} characters; spaces around it and upper case do not matter",
        examples=["ada@example.com"],
        json_schema_extra={"format": "email"},
    )
    password: Annotated[SecretStr, AfterValidator(_check_secret)] = Field(
        description=f"{PASSWORD_MIN_CHARACTERS} characters to {PASSWORD_MAX_BYTES} bytes in UTF-8, without NUL, "
        "and none of the most common passwords",
        examples=["correct horse"],
        json_schema_extra={"minLength": PASSWORD_MIN_CHARACTERS, "maxLength": PASSWORD_MAX_BYTES},
    )


class RegisterAnswer(BaseModel):
    """The same for every address."""

    message: str = Field(examples=["If this address can be claimed, a code is on its way to it."])
    expires_in_seconds: int = Field(description="How long the code is good for", examples=[60])


class ActivateRequest(Request):
    """The code that came by mail."""

    code: str = Field(description=f"{CODE_DIGITS} digits", pattern=f"^[0-9]{{{CODE_DIGITS}}}$", examples=["1234"])


class ActivateAnswer(BaseModel):
    """The account is active."""

    message: str = Field(examples=["Your account is active."])
    email: str = Field(description="The address in the spelling that is stored", examples=["ada@example.com"])


class Problem(BaseModel):
    """What went wrong, and what to do."""

    detail: str = Field(examples=["One sentence on what is wrong and what to do."])


class InvalidField(BaseModel):
    """One field that breaks its rule; what was sent is not repeated."""

    loc: list[str | int] = Field(description="Where the field is", examples=[["body", "email"]])
    msg: str = Field(description="The rule", examples=["must be an e-mail address such as ada@example.com"])
    type: str = Field(examples=["value_error"])


class Invalid(BaseModel):
    """Every field that breaks its rule."""

    detail: list[InvalidField]
