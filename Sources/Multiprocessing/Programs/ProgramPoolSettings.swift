/// What a pool of programs is made with. All times are in nanoseconds of a monotonic clock.
public struct ProgramPoolSettings: Equatable, Sendable {
  /// How many programs may run at a time; at least 1.
  public var processes: Int
  /// The folder in which each call gets a working folder of its own. This pool's alone: what is
  /// found there under names that it gives is removed at its start. Its parent must exist.
  public var folder: String
  /// How long the ends of stdout and stderr are waited for after a program has ended: a descendant
  /// that left its group may hold them until it is killed as well.
  public var drainMax: UInt64 = 1_000_000_000
  /// The wait after a start that failed because the machine was short of something; it doubles with
  /// each further one.
  public var backOffMin: UInt64 = 50_000_000
  /// The longest such wait.
  public var backOffMax: UInt64 = 5_000_000_000
  /// How long a pool that ends waits for its last working folders to be removed. What is left then
  /// is removed at the next start.
  public var sweepMax: UInt64 = 1_000_000_000

  /// A pool that runs `processes` programs at a time in folders below `folder`.
  public init(processes: Int, folder: String) {
    self.processes = processes
    self.folder = folder
  }
}
