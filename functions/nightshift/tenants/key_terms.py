"""The permissions and the life that an agent key can have. It imports nothing, because the command line imports it."""

API_KEY_PREFIX = "owl_agent_"
# The length of the stored prefix, by which people recognise a key.
PREFIX_LENGTH = len(API_KEY_PREFIX) + 4
MAX_NAME = 100

AGENT_PERMISSIONS = ("jobs:read", "jobs:write")
READ_ONLY_PERMISSIONS = ("jobs:read",)
# Permissions that no key has unless it was made with them: what they allow is otherwise for a team's admins.
EXTRA_PERMISSIONS = ("audit:read", "integrations:write", "alerts:write", "keys:write")
PERMISSIONS = (*AGENT_PERMISSIONS, *EXTRA_PERMISSIONS)

# A key that a team makes.
DEFAULT_DAYS, MOST_DAYS, MOST_GRACE_DAYS = 90, 3650, 7
