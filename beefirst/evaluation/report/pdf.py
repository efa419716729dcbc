"""The report's page as a PDF, printed by a Chromium where there is one."""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PDF_SECONDS = 120


def print_pdf(folder: Path) -> str:
    """Print report.html as report.pdf, and return the path of that, or why there is none.

    Args:
        folder: of the report.
    """
    browsers = [path for path in map(shutil.which, BROWSERS) if path]
    if not browsers:
        return "(no PDF: it takes a Chromium, which is not installed)"
    if any(_print_with(browser, folder.absolute()) for browser in browsers):
        return str(folder / "report.pdf")
    return f"(no PDF: {', '.join(Path(browser).name for browser in browsers)} could not print it)"


def _print_with(browser: str, folder: Path) -> bool:
    page, pdf = folder / "report.html", folder / "report.pdf"
    with TemporaryDirectory(prefix="beefirst-chromium-", ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
        # Chromium refuses root its sandbox; the page is our own and loads nothing.
        options += [f"--user-data-dir={profile}"] + ["--no-sandbox"] * (os.geteuid() == 0)
        command = [browser, *options, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", page.as_uri()]
        try:
            subprocess.run(command, capture_output=True, timeout=PDF_SECONDS, check=True)
        except (OSError, subprocess.SubprocessError):
            pdf.unlink(missing_ok=True)
    return pdf.exists()
