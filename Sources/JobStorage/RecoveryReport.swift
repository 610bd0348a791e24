/// What recovery did, for the log and for `lido check`.
public struct RecoveryReport: Equatable, Sendable {
  /// The snapshot that it began with: the sequence number of the last record in it; 0: none.
  public internal(set) var snapshotSequence: UInt64 = 0
  /// Records that were applied on top.
  public internal(set) var recordsReplayed = 0
  /// Jobs that are held now.
  public internal(set) var jobs = 0
  /// The sequence number of the last record; 0: there has never been one.
  public internal(set) var lastSequence: UInt64 = 0
  /// Bytes at the end of the journal that were not of a whole record, and were cut off.
  public internal(set) var tornBytes = 0
  /// Whole records among them, behind a hole; a start keeps a copy of what was cut off with them.
  public internal(set) var cutRecords = 0
  /// What an operator should read: one sentence for everything that was not as usual.
  public internal(set) var notes: [String] = []
}
