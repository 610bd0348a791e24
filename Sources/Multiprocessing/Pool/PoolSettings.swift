/// What a pool is made with. All times are in nanoseconds of a monotonic clock.
public struct PoolSettings: Equatable, Sendable {
  /// How many slots are kept filled with workers; at least 1.
  public var processes: Int
  /// How many calls a worker runs before it is replaced (`maxtasksperchild`); nil: no limit but
  /// `ordinalsMax`.
  public var callsPerWorkerMax: Int?
  /// How many starts may fail in a row, with no worker ready, before the pool breaks; nil: three
  /// for each process.
  public var startFailuresMax: Int?
  /// Whether the first start of all workers succeeds or the pool breaks, at the first one that
  /// fails for whatever reason; then `poolStarted` is reported once all of them are ready.
  public var startsWhole = false
  /// How long a worker that is to go has before the next step of the ladder.
  public var grace: UInt64 = 5_000_000_000
  /// How long a started process has to say hello; and, without an initializer, to be ready.
  public var helloMax: UInt64 = 10_000_000_000
  /// Whether workers run an initializer before they are ready.
  public var hasInitializer: Bool = true
  /// How long a worker has from its hello until its initializer is over; nil: what that takes is
  /// not bounded, as in Python.
  public var initializerMax: UInt64?
  /// The bound that a worker which has said hello is late by, if it is.
  var readyMax: UInt64 { hasInitializer ? initializerMax ?? helloMax : helloMax }
  /// How long a worker that has closed its channel has to end, before it is killed.
  public var hangUpMax: UInt64 = 2_000_000_000
  /// How long a worker may leave the call that it is to run next unclaimed, before it is killed:
  /// it does not read its channel.
  public var claimMax: UInt64 = 10_000_000_000
  /// The wait after the first failed start; it doubles with each further one.
  public var backOffMin: UInt64 = 50_000_000
  /// The longest wait between failed starts.
  public var backOffMax: UInt64 = 5_000_000_000
  /// The most calls that may be in flight in one slot: one running and the rest prefetched.
  public var creditMax: Int = 32
  /// How long a call may run before those prefetched behind it are taken back.
  public var recallAfter: UInt64 = 5_000_000
  /// Whether the workers claim their calls (`Claims`), so that the pool can take back those not
  /// started and knows of a dead worker's calls which had been.
  public var hasClaims: Bool = true

  /// Ordinals of calls are 32 bits wide: a worker is replaced before they run out.
  public static let ordinalsMax = 1 << 31
  /// A call that lasts less, in microseconds, doubles its slot's credit.
  public static let shortCallMicroseconds: UInt32 = 250
  /// How long the calls in flight in a slot may take together, in microseconds, by how long the
  /// last one took.
  public static let prefetchMicroseconds: UInt32 = 2000
  /// A call that lasts as long, in microseconds, takes its slot's credit back to 1.
  public static let longCallMicroseconds: UInt32 = 1000

  /// A pool of `processes` workers, everything else by default.
  public init(processes: Int) {
    self.processes = processes
  }
}
