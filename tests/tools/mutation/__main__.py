"""Change the service's SQL or Python a little, many times, and see that a test notices.

python -m tests.tools.mutation sql [FILTER …]
python -m tests.tools.mutation python [FILTER …]

All mutants, or those whose file or statement (`003`, `JUDGE_CODE`), or whose module (`beefirst.registration.*`), a
filter names; `--sample N --seed S` takes N of SQL's by lot. Ends with status 1 where under 90 % are killed.
"""

import argparse
import os
import random
import subprocess
import sys

from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.laboratory.project_copy import CheckoutCopy
from beefirst.machine.folders import CHECKOUT, MIGRATIONS
from tests.support.databases import migrated_database
from tests.tools.mutation import sql_run
from tests.tools.mutation.python_run import Mutmut, run_python
from tests.tools.mutation.report import Report
from tests.tools.mutation.sql_mutants import SqlMutant, find_mutants

IN_COPY = "BEEFIRST_MUTATION_COPY"
"""Names the copy of the checkout to the run that changes its SQL: there, this very module runs again."""


def main() -> int:
    """Run the mutants and return the status to end with."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.mutation", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["sql", "python"])
    parser.add_argument("filters", nargs="*")
    parser.add_argument("--sample", type=int, help="how many mutants of SQL to take by lot")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if os.environ.get(IN_COPY) == str(CHECKOUT):
        return run_sql(_chosen_sql(chosen))
    with CheckoutCopy() as copy, EmbeddedServer.start_ephemeral() as server:
        environment = os.environ | {"DATABASE_URL": server.url, "BEEFIRST_DATA": str(copy.code / "data")}
        if chosen.what == "python":
            return run_python(Mutmut(copy.code, environment), chosen.filters)
        inside = environment | {IN_COPY: str(copy.code), "PYTHONPATH": str(copy.code)}
        again = [sys.executable, "-m", "tests.tools.mutation", *sys.argv[1:]]
        return subprocess.run(again, cwd=copy.code, env=inside, check=False).returncode


def _chosen_sql(chosen: argparse.Namespace) -> list[SqlMutant]:
    paths = [*sorted(MIGRATIONS.glob("*.sql")), CHECKOUT / "beefirst" / "database" / "statements.py"]
    every = [
        found for path in paths for found in find_mutants(str(path.relative_to(CHECKOUT)), path.read_text("utf-8"))
    ]
    named = [mutant for mutant in every if not chosen.filters or any(part in mutant.name for part in chosen.filters)]
    if not chosen.sample or chosen.sample >= len(named):
        return named
    return sorted(random.Random(chosen.seed).sample(named, chosen.sample), key=named.index)


def run_sql(mutants: list[SqlMutant]) -> int:
    """Run SQL's mutants, after the tests have passed without one."""
    sql_run.warm_up()
    with migrated_database() as database, database.connect() as connection:
        workshop = sql_run.Workshop(connection)
        if (outcome := workshop.run("")) != "survived":
            print(f"The tests do not pass without a mutant: {outcome}.")
            return 1
        report = Report(len(mutants))
        for mutant in mutants:
            report.add(mutant.name, workshop.judge(mutant), mutant.diff())
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
