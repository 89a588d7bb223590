"""Databases as stores of MLflow: what keeps one from working for good, and one maker of a new one.

MLflow itself tries a database that cannot be opened for minutes, and two processes that make the
tables of one file at the same time leave a file that no version can read.
"""

import importlib.metadata
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import quote

import sqlalchemy
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from filelock import FileLock
from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from odnbench.errors import OdnbenchError

SCHEMES = ("sqlite", "postgresql", "mysql", "mssql")
# The package that brings a module, where the two have other names.
_PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}
# What database servers say to a login that they refuse, or of a database that they do not have.
_REFUSED = re.compile(
    "authentication failed|no password supplied|pg_hba|access denied|login failed"
    "|(role|database) .* does not exist|unknown database",
    re.IGNORECASE,
)


def probe(uri: str, shown: str) -> None:
    """Raises OdnbenchError, with the cure, where the database at `uri` cannot work as a store of
    MLflow, and SQLAlchemyError where its server does not answer.

    shown: `uri` as people may see it.
    """
    try:
        if (path := sqlite_file(uri)) is not None:
            _probe_file(path, shown)
            if not is_made(path):
                return
        engine = create_sqlalchemy_engine(uri)
    except ModuleNotFoundError as error:
        package = _PACKAGES.get(str(error.name), error.name)
        raise OdnbenchError(
            f"MLflow at {shown}: the driver of the database, {error.name}, is not installed; "
            f"`pip install {package}`"
        ) from error
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise OdnbenchError(
            f"MLflow at {shown}: not an address of a database: {error}; give one as "
            "sqlite:///mlflow.db or postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from error
    try:
        with engine.connect() as connection:
            _check_schema(connection, shown)
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        if not _REFUSED.search(str(error.orig)):
            raise
        raise OdnbenchError(
            f"MLflow at {shown}: the database refuses: {reason}; give user, password and database "
            "as in postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from error
    finally:
        engine.dispose()


def make_file(uri: str) -> None:
    """Makes the SQLite file that `uri` names, if it is not there: one process does, others wait."""
    path = sqlite_file(uri)
    if path is None or is_made(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if is_made(path):
            return
        # Made beside its place and renamed into it, so that a kill leaves no half of a store.
        new = path.absolute().with_name(f".{path.name}.new")
        new.unlink(missing_ok=True)
        store = SqlAlchemyStore(f"sqlite:///{new}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
        store.engine.dispose()
        new.replace(path)


def sqlite_file(uri: str) -> Path | None:
    """The file that `uri` names; None where it is not the address of an SQLite file."""
    if not uri.startswith("sqlite"):
        return None
    database = make_url(uri).database or ":memory:"
    return None if database.startswith("file:") else Path(database)


def is_made(path: Path) -> bool:
    """Whether an SQLite file holds anything."""
    return path.is_file() and path.stat().st_size > 0


def _probe_file(path: Path, shown: str) -> None:
    """Raises OdnbenchError where the SQLite file `path` can be neither opened nor made."""
    if str(path) == ":memory:":
        raise OdnbenchError(
            f"MLflow at {shown}: the runs would be gone with the command; give a file, as "
            "sqlite:///mlflow.db"
        )
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        with TemporaryFile(dir=folder):  # SQLite keeps a journal beside its file while it writes
            pass
        if is_made(path):
            _open_to_write(path)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise OdnbenchError(
            f"MLflow at {shown}: the file cannot be used as a store: {path}: {reason}; give "
            "another place, as MLFLOW_TRACKING_URI=sqlite:////home/me/mlflow.db"
        ) from error


def _open_to_write(path: Path) -> None:
    """Opens an SQLite file and begins to write. Raises sqlite3.Error where either fails, except
    where another process is writing.
    """
    address = f"file:{quote(str(path.absolute()))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=0.1)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            database.rollback()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise


def _check_schema(connection: sqlalchemy.Connection, shown: str) -> None:
    """Raises OdnbenchError where the tables are not those of the installed MLflow."""
    tables = set(sqlalchemy.inspect(connection).get_table_names())
    if not tables:
        return
    scripts = ScriptDirectory.from_config(_get_alembic_config(db_url=""))
    heads, known = scripts.get_heads(), {script.revision for script in scripts.walk_revisions()}
    try:
        found = MigrationContext.configure(connection).get_current_revision()
    except CommandError:  # it has several revisions: two processes have made it at the same time
        found = None
    if found in heads:
        return
    version = importlib.metadata.version("mlflow")
    runs = "SELECT count(*) FROM runs"
    if found is None and not {"experiments", "runs"} <= tables:
        fault = "it holds tables, and not those of MLflow, or it was left half made"
        cure = "give another place, or remove it if nothing else is in it"
    elif "runs" not in tables or not connection.execute(sqlalchemy.text(runs)).scalar():
        fault = f"its schema ({found}) is not that of MLflow {version}, and it holds no run"
        cure = "remove it, and the same command makes it anew, or `mlflow db upgrade` brings it up"
    elif found is None or found in known:
        fault = f"its schema ({found}) is older than MLflow {version}"
        cure = f"make a copy of it, then `mlflow db upgrade {shown}`"
    else:
        fault = f"its schema ({found}) is not known to MLflow {version}: a newer one has made it"
        cure = "`pip install --upgrade mlflow`, or give another place"
    raise OdnbenchError(f"MLflow at {shown}: {fault}; {cure}")
