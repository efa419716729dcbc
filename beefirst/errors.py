"""The exceptions that beefirst raises on purpose; the message of each is one line that says what to do."""


class BeefirstError(Exception):
    """Base class: a command prints the message of any of these as its only line and exits with status 1."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows in the place of a traceback: IPython looks for this name."""
        return [f"{type(self).__name__}: {self}"]


class ConfigurationError(BeefirstError):
    """A setting has a value outside its rule."""


class DatabaseUnavailableError(BeefirstError):
    """The database does not answer, or did not before STARTUP_TIMEOUT_SECONDS ran out."""


class DatabaseRefusedError(BeefirstError):
    """The database answered with a refusal that waiting cannot cure."""


class MigrationError(BeefirstError):
    """The migration files and the database's history do not fit, or a file failed."""


class SchemaDriftError(BeefirstError):
    """The live schema is not what the migrations make; what differs was printed before."""


class PortTakenError(BeefirstError):
    """Another program listens on a port that beefirst was told to use."""


class EmbeddedServerError(BeefirstError):
    """The embedded PostgreSQL cannot be set up or started in the folder it was given."""


class ProcessError(BeefirstError):
    """A process that beefirst started ended, or did not become ready, before its time limit."""


class RefusedError(ProcessError):
    """A command of beefirst's own, on the same standard error, ended with status 1 after its line: none follows it."""


class AddressRefusedError(BeefirstError, ValueError):
    """An e-mail address is none, or one that cannot be stored in its one spelling."""


class PasswordRefusedError(BeefirstError, ValueError):
    """A password is too short, too long for bcrypt, holds NUL, or is one of the most common."""


class MailError(BeefirstError):
    """A mail was refused for good, or could not be delivered within its time limit, however often it was tried."""


class OverloadedError(BeefirstError):
    """More passwords wait to be hashed than could be served in time."""


class NotebooksFailedError(BeefirstError):
    """A notebook of a report failed; the report itself is complete."""


class DisagreementError(BeefirstError):
    """What a report records of a check is not what its data say."""
