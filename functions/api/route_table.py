"""All operations of the API, in the order of the OpenAPI document."""

from api.operations import Operation
from api.routes import (
    alert_routes,
    audit_routes,
    bulk_routes,
    identity_routes,
    integration_routes,
    job_type_routes,
    key_routes,
    overview_routes,
    pause_routes,
    project_routes,
    run_routes,
    schedule_routes,
    service_routes,
    session_routes,
    team_routes,
)

OPERATIONS = tuple(
    operation
    for module in (
        *(service_routes, identity_routes, session_routes, project_routes, integration_routes, team_routes),
        *(key_routes, audit_routes, job_type_routes, run_routes, overview_routes, bulk_routes, pause_routes),
        *(schedule_routes, alert_routes),
    )
    for operation in vars(module).values()
    if isinstance(operation, Operation)
)
