"""Write beefirst/registration/common_passwords.txt anew: the common passwords that no other rule refuses.

python -m tests.tools.list_common_passwords

To be run after a new version of zxcvbn was pinned.
"""

from importlib.metadata import version

from zxcvbn.frequency_lists import FREQUENCY_LISTS

from beefirst.registration.common_passwords import LIST
from beefirst.registration.credentials import PASSWORD_MIN_CHARACTERS

SOURCE = """\
The common passwords of {shortest} characters or more, the most common first, in lower case: from the frequency lists
of zxcvbn {version} (https://pypi.org/project/zxcvbn/), which are those of https://github.com/dropbox/zxcvbn.

Copyright (c) 2012-2016 Dan Wheeler and Dropbox, Inc.
Copyright (c) 2016 Daniel Wolf

{licence}"""

MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""


def make_list() -> str:
    """Return the text of the file."""
    shortest = PASSWORD_MIN_CHARACTERS
    source = SOURCE.format(shortest=shortest, version=version("zxcvbn"), licence=MIT)
    heading = "\n".join(f"# {line}".rstrip() for line in source.splitlines())
    passwords = [password for password in FREQUENCY_LISTS["passwords"] if len(password) >= shortest]
    return "\n".join([heading, "", *passwords, ""])


def main() -> None:
    """Write the file."""
    text = make_list()
    LIST.write_text(text, encoding="ascii")
    print(f"{LIST.name}: {text.count(chr(10))} lines")


if __name__ == "__main__":
    main()
