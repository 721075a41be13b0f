/** The role that has all that a node does. */
export const NODE_ROLE = "roles/spanner.databaseUser";

/** What a node does with its database. */
export const NODE_PERMISSIONS: readonly string[] = [
  "spanner.sessions.create",
  "spanner.sessions.delete",
  "spanner.databases.select",
  "spanner.databases.read",
  "spanner.databases.write",
  "spanner.databases.beginReadOnlyTransaction",
  "spanner.databases.beginOrRollbackReadWriteTransaction",
];
