import type { protos } from "@google-cloud/spanner";

// The messages of Spanner's API that the adapter speaks, by their own names.
export type Value = protos.google.protobuf.IValue;
export type ListValue = protos.google.protobuf.IListValue;
export type Timestamp = protos.google.protobuf.ITimestamp;
export type KeySet = protos.google.spanner.v1.IKeySet;
export type Mutation = protos.google.spanner.v1.IMutation;
export type MutationWrite = protos.google.spanner.v1.Mutation.IWrite;
export type Statement = protos.google.spanner.v1.IExecuteSqlRequest;
export type CommitRequest = protos.google.spanner.v1.ICommitRequest;
export type TransactionSelector = protos.google.spanner.v1.ITransactionSelector;
export type ResultSet = protos.google.spanner.v1.IResultSet;
export type ResultSetMetadata = protos.google.spanner.v1.IResultSetMetadata;
export type PartialResultSet = protos.google.spanner.v1.IPartialResultSet;

/** One row of an answer, by column. */
export type Row = readonly Value[];
