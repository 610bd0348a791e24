/// What a `BackgroundSync` has done since its start.
public struct SyncReport: Equatable, Sendable {
  /// The ticket of the newest sync that has ended well; 0: none has.
  public var ticket: UInt64 = 0
  /// How many have ended well.
  public var count = 0
  /// How long those took together.
  public var nanoseconds: UInt64 = 0
  /// How many lists of steps have ended, well or not.
  public var lists = 0
  /// Why the last of them ended early, at a rename or a removal, or which of its files it could not
  /// discard; nil: neither.
  public var listFailure: StorageError?

  /// Nothing yet.
  public init() {}
}

/// One call on the disk that a `BackgroundSync` makes for its caller.
public enum DiskStep: Equatable, Sendable {
  /// As `FileSystem.sync`.
  case sync(OpenFile)
  /// As `FileSystem.syncDirectory`.
  case syncDirectory(String)
  /// As `FileSystem.rename`.
  case rename(String, to: String)
  /// As `FileSystem.remove`.
  case remove(String)
  /// The same; the list goes on when it fails.
  case discard(String)
}

/// Syncs that end later: `request`, then `drain` when the descriptor is readable.
///
/// One request waits at most; a newer one takes its place, as it covers the older (group commit).
/// After a failed sync nothing is done any more.
public protocol BackgroundSync: AnyObject {
  /// Readable when a sync has ended since the last `drain`; for poll(2) and its kin only.
  var descriptor: Int32 { get }

  /// Asks for a sync of all that was appended to `file` so far; `ticket`, which grows, names the
  /// request. Does not block. The file must stay open until `settle`, or until its ticket
  /// came back.
  func request(_ file: OpenFile, ticket: UInt64)

  /// Makes these calls in this order, and ends the list with the first that fails, as long as it
  /// does not only discard: a sync as any
  /// that was requested, another call as the report's `listFailure`. When the list has ended and
  /// its syncs, which come before all else, have not failed, `ticket` has come back. Does not
  /// block. No other list may be waiting or running; requests are done between two steps. The files
  /// must stay open until the list has ended.
  func perform(_ steps: [DiskStep], ticket: UInt64)

  /// Clears the descriptor and tells what has ended. Does not block.
  ///
  /// - Throws: `syncFailed`, then and ever after, when a sync has failed.
  func drain() throws(StorageError) -> SyncReport

  /// Blocks until every request and every list has ended, then answers like `drain` but leaves the
  /// descriptor readable, so that whoever waits for it still hears of what ended.
  ///
  /// - Throws: `syncFailed`.
  func settle() throws(StorageError) -> SyncReport

  /// Ends what was requested and gives everything back; not to be used any more.
  func stop()
}
