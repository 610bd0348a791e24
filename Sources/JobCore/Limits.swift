/// Every bound that the engine keeps. Each has a tested path and a documented answer.
public struct Limits: Equatable, Sendable {
  /// Open jobs (not final) at most; a submission beyond is refused with `queue_full`.
  public var openJobsMax = 1_000_000
  /// Bytes of arguments and options of open jobs at most; beyond: `queue_full`. A submission that
  /// has more by itself would never fit: `payload_too_large`.
  public var openBytesMax = 1 << 30
  /// Finished jobs are kept this long, in milliseconds …
  public var retentionAge: Milliseconds = 24 * 3600 * 1000
  /// … and at most this many …
  public var retentionJobsMax = 1_000_000
  /// … and at most this many bytes of them; whichever bound is met first.
  public var retentionBytesMax = 1 << 30
  /// Hashes of forgotten ids kept, so that they answer `gone` and not `not_found`.
  public var forgottenIDsMax = 100_000
  /// Crashes that may cut a job off before it is given up: a job that kills servers must not loop.
  public var lossesMax = 3
  /// Jobs that one event may forget at most, and deadlines that it may meet: time works in bounded
  /// slices.
  public var forgottenPerTurnMax = 1_000
  /// Bytes that the chunks of a map may hold whose items come one after the other; beyond, its
  /// input waits for a reader (`Engine.mayTakeItems`), and what readers have taken is dropped.
  public var mapBytesMax = 16 << 20
  /// Bytes of lines that are sent after a line until it counts as received, and bytes that the
  /// chunks of those lines cost: more than the buffers between here and the client usually hold.
  public var mapUnreadMax = 16 << 20
  /// Chunks of maps that one event makes, or ends, at most.
  public var chunksPerTurnMax = 1_000
  /// Pools that clients created and that are not joined, at most.
  public var poolsMax = 64
  /// Workers of such a pool at most.
  public var poolProcessesMax = 256
  /// Such pools that are joined are kept this long, in milliseconds, unless their name is asked for
  /// or their place is needed …
  public var joinedPoolAge: Milliseconds = 600_000
  /// … and at most this many.
  public var joinedPoolsMax = 64
  /// The wait before the second attempt, in milliseconds; doubles with each further one …
  public var retryDelay: Milliseconds = 1_000
  /// … up to this.
  public var retryDelayMax: Milliseconds = 60_000

  /// The defaults of the API.
  public init() {}
}
