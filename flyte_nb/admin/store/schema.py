"""The tables, as migrations. One that was released is never edited; a change becomes the next one.

Columns have the names of FlyteAdmin's models, because its filter grammar names columns
(flyteadmin/pkg/repositories/models at v1.16.8). `message` holds the row's whole flyteidl message,
ready to be sent. Times are UTC text, `2026-01-02T03:04:05.000006Z`, so that they sort as text.
"""

from flyte_nb.api.phases import ENDED_EXECUTION

UNFINISHED = f"phase NOT IN ({', '.join(repr(phase) for phase in sorted(ENDED_EXECUTION))})"
"""Condition: the execution of this row has not ended."""

OF_EXECUTION = "execution_project = ? AND execution_domain = ? AND execution_name = ?"
"""Condition: the row belongs to that execution."""

_BASE = (
    "id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT"
)
_ENTITY = (
    f"{_BASE}, project TEXT NOT NULL, domain TEXT NOT NULL, name TEXT NOT NULL,"
    " version TEXT NOT NULL, digest BLOB NOT NULL, message BLOB NOT NULL, listed BLOB"
)
_ENTITY_KEY = "UNIQUE (project, domain, name, version)"
_RUN = (
    "execution_project TEXT NOT NULL, execution_domain TEXT NOT NULL, execution_name TEXT NOT NULL"
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        f"""CREATE TABLE projects ({_BASE}, identifier TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
            description TEXT NOT NULL, labels BLOB NOT NULL, state INTEGER NOT NULL)""",
        f"""CREATE TABLE tasks ({_ENTITY}, type TEXT NOT NULL, short_description TEXT NOT NULL,
            {_ENTITY_KEY})""",
        f"""CREATE TABLE workflows ({_ENTITY}, short_description TEXT NOT NULL, {_ENTITY_KEY})""",
        f"""CREATE TABLE launch_plans ({_ENTITY}, workflow_id INTEGER NOT NULL,
            state INTEGER NOT NULL, schedule_type TEXT NOT NULL, launch_condition_type TEXT,
            {_ENTITY_KEY})""",
        "CREATE INDEX launch_plans_active ON launch_plans (project, domain, name, state)",
        f"""CREATE TABLE named_entity_metadata ({_BASE}, resource_type INTEGER NOT NULL,
            project TEXT NOT NULL, domain TEXT NOT NULL, name TEXT NOT NULL,
            description TEXT NOT NULL, state INTEGER NOT NULL,
            UNIQUE (resource_type, project, domain, name))""",
        f"""CREATE TABLE executions ({_BASE}, {_RUN}, launch_plan_id INTEGER, workflow_id INTEGER,
            task_id INTEGER, phase TEXT NOT NULL, started_at TEXT, execution_created_at TEXT NOT NULL,
            execution_updated_at TEXT, duration INTEGER, abort_cause TEXT NOT NULL DEFAULT '',
            mode INTEGER NOT NULL, source_execution_id INTEGER, parent_node_execution_id INTEGER,
            cluster TEXT NOT NULL DEFAULT '', inputs_uri TEXT NOT NULL, user_inputs_uri TEXT NOT NULL,
            output_uri TEXT NOT NULL DEFAULT '', error_kind TEXT, error_code TEXT,
            user TEXT NOT NULL, state INTEGER NOT NULL, launch_entity TEXT NOT NULL,
            message BLOB NOT NULL, serial INTEGER NOT NULL DEFAULT 0,
            UNIQUE (execution_project, execution_domain, execution_name))""",
        "CREATE INDEX executions_phase ON executions (phase)",
        f"""CREATE TABLE node_executions ({_BASE}, {_RUN}, node_id TEXT NOT NULL,
            phase TEXT NOT NULL, input_uri TEXT NOT NULL, output_uri TEXT NOT NULL DEFAULT '',
            started_at TEXT, node_execution_created_at TEXT NOT NULL,
            node_execution_updated_at TEXT NOT NULL, duration INTEGER, parent_id INTEGER,
            parent_task_execution_id INTEGER, error_kind TEXT, error_code TEXT, cache_status TEXT,
            message BLOB NOT NULL,
            UNIQUE (execution_project, execution_domain, execution_name, node_id))""",
        f"""CREATE TABLE task_executions ({_BASE}, {_RUN}, node_id TEXT NOT NULL,
            retry_attempt INTEGER NOT NULL, project TEXT NOT NULL, domain TEXT NOT NULL,
            name TEXT NOT NULL, version TEXT NOT NULL, phase TEXT NOT NULL,
            phase_version INTEGER NOT NULL, input_uri TEXT NOT NULL,
            output_uri TEXT NOT NULL DEFAULT '', started_at TEXT,
            task_execution_created_at TEXT NOT NULL, task_execution_updated_at TEXT NOT NULL,
            duration INTEGER, message BLOB NOT NULL,
            UNIQUE (execution_project, execution_domain, execution_name, node_id, retry_attempt,
                    project, domain, name, version))""",
        f"""CREATE TABLE execution_tags ({_BASE}, {_RUN}, key TEXT NOT NULL, value TEXT NOT NULL)""",
        """CREATE INDEX execution_tags_of ON execution_tags
            (execution_project, execution_domain, execution_name)""",
        """CREATE TABLE history (id INTEGER PRIMARY KEY, execution_id INTEGER NOT NULL,
            record TEXT NOT NULL)""",
        "CREATE INDEX history_of ON history (execution_id, id)",
    ),
    (
        "CREATE TABLE installations (id INTEGER PRIMARY KEY, document TEXT NOT NULL UNIQUE)",
        """CREATE TABLE task_installations (id INTEGER PRIMARY KEY, project TEXT NOT NULL,
            domain TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, bundle TEXT NOT NULL,
            installation_id INTEGER NOT NULL)""",
        """CREATE INDEX task_installations_of ON task_installations
            (project, domain, name, version, id)""",
        "CREATE INDEX task_installations_in ON task_installations (bundle, id)",
        """CREATE TABLE attributes (project TEXT NOT NULL, domain TEXT NOT NULL,
            message BLOB NOT NULL, PRIMARY KEY (project, domain))""",
        "ALTER TABLE executions ADD COLUMN installations INTEGER NOT NULL DEFAULT 0",
    ),
    (
        f"""CREATE TABLE signals ({_BASE}, {_RUN}, signal_id TEXT NOT NULL, type BLOB NOT NULL,
            value BLOB, message BLOB NOT NULL,
            UNIQUE (execution_project, execution_domain, execution_name, signal_id))""",
    ),
    (
        """ALTER TABLE node_executions ADD COLUMN dynamic_workflow_remote_closure_reference
            TEXT NOT NULL DEFAULT ''""",
    ),
    (
        # By which key a node looked for its result, and the newest node first of those that asked by one.
        "ALTER TABLE node_executions ADD COLUMN cache_key TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX node_executions_by_key ON node_executions (cache_key, id) WHERE cache_key <> ''",
    ),
    (
        """CREATE TABLE elements (execution_id INTEGER NOT NULL, node_id TEXT NOT NULL,
            number INTEGER NOT NULL, attempt INTEGER NOT NULL, message BLOB NOT NULL,
            PRIMARY KEY (execution_id, node_id, number, attempt)) WITHOUT ROWID""",
    ),
)
"""`MIGRATIONS[n]` brings a database from schema n to n + 1. `PRAGMA user_version` holds the schema."""
