/** Name of the row of a node's own lock, as the Go system has it. */
export function lockRowName(lockName: string): string {
  return `hedge/spindle/lockname/${lockName}`;
}
