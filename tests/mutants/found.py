"""The mutants of a subject, from the current checkout and the migrated database."""

from nightshift.database.queries import Database, query_files
from tests.mutants.code import mutants_of_module
from tests.mutants.guarded import kind_of, path_of_module
from tests.mutants.schema import mutants_of_function, mutants_of_table
from tests.mutants.site import Mutant
from tests.mutants.statements import mutants_of


def mutants_of_subject(subject: str, *, owner: Database | None = None) -> list[Mutant]:
    """Return the mutants of a query, module, table or function. ``owner`` reads the latter two from the database."""
    match kind_of(subject):
        case "query":
            return mutants_of(query_files()[subject].read_text())
        case "table":
            return mutants_of_table(subject, owner=owner)
        case "function":
            return mutants_of_function(subject, owner=owner)
        case _:
            return mutants_of_module(path_of_module(subject).read_text())
