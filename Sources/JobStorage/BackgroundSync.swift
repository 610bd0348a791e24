/// What a `BackgroundSync` has done since its start.
public struct SyncReport: Equatable, Sendable {
  /// The ticket of the newest sync that has ended well; 0: none has.
  public var ticket: UInt64 = 0
  /// How many have ended well.
  public var count = 0
  /// How long those took together.
  public var nanoseconds: UInt64 = 0

  /// Nothing yet.
  public init() {}
}

/// Syncs that end later: `request`, then `drain` when the descriptor is readable.
///
/// One request waits at most; a newer one takes its place, as it covers the older (group commit).
/// After a failed sync none is done any more.
public protocol BackgroundSync: AnyObject {
  /// Readable when a sync has ended since the last `drain`; for poll(2) and its kin only.
  var descriptor: Int32 { get }

  /// Asks for a sync of all that was appended to `file` so far; `ticket`, which grows, names the
  /// request. Does not block. The file must stay open until `settle`, or until its ticket
  /// came back.
  func request(_ file: OpenFile, ticket: UInt64)

  /// Clears the descriptor and tells what has ended. Does not block.
  ///
  /// - Throws: `syncFailed`, then and ever after, when a sync has failed.
  func drain() throws(StorageError) -> SyncReport

  /// Blocks until every request has ended, then answers like `drain` but leaves the descriptor
  /// readable, so that whoever waits for it still hears of what ended.
  ///
  /// - Throws: `syncFailed`.
  func settle() throws(StorageError) -> SyncReport

  /// Ends what was requested and gives everything back; not to be used any more.
  func stop()
}
