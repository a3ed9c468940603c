"""A copy of a database, for one test or for one run of a job."""

from nightshift.database.queries import Database


def copy_database(superuser: Database, source: str, name: str) -> None:
    """Create a database with the content and the settings of another one, which has no open session."""
    # Copying files is twenty times faster than logging them, and this server need not survive a crash.
    superuser.run_script(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY FILE_COPY")
    # CREATE DATABASE leaves out the settings of the database and of roles in it. One statement per setting, in a
    # session of that database, would take as long as the copy.
    superuser.run_script(
        f"""
        SET allow_system_table_mods = on;
        INSERT INTO pg_db_role_setting SELECT made.oid, setrole, setconfig
            FROM pg_db_role_setting JOIN pg_database source ON source.oid = setdatabase, pg_database made
            WHERE source.datname = '{source}' AND made.datname = '{name}';
        """
    )
