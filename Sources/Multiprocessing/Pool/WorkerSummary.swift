internal import DequeModule

/// One worker as a listing shows it.
public struct WorkerSummary: Equatable, Sendable {
  /// Where it is in its life.
  public enum State: String, Sendable {
    /// Asked for, or running its initializer.
    case starting
    /// Ready, with no call.
    case idle
    /// Runs a call.
    case busy
    /// On its way out.
    case ending
    /// Gone.
    case gone
  }

  /// The slot it works for.
  public var slot: Int
  /// Its process id; 0 until it has started.
  public var process: Int32
  /// Where it is in its life.
  public var state: State
  /// The call it runs; of one that is gone, the call that it had begun and never answered.
  public var call: UInt64?
  /// How many calls it has answered.
  public var callsDone: Int
  /// When it was asked for, in nanoseconds of the owner's monotonic clock.
  public var startedAt: UInt64
  /// Whether the pool has sent it a signal to end it without any fault of its own: its call was to
  /// end, it was not needed any more, or it did not leave in time.
  public var isEndedByPool: Bool
  /// What it did for which the pool has ended it, or why it was never ready, as a sentence; nil:
  /// nothing of that kind.
  public var fault: String?
  /// How it ended; nil while it lives.
  public var exitStatus: ExitStatus?
}

extension PoolState {
  /// What a listing shows of a worker that lives, which is this process; nil: it is gone.
  func summary(
    of worker: PoolWorkerID, process: Int32, startedAt: UInt64
  ) -> WorkerSummary? {
    guard let index = place(of: worker), let worker = workers[index] else { return nil }
    let call = worker.inFlight.first?.call
    let summaryState: WorkerSummary.State =
      switch worker.phase {
      case .starting: .starting
      case .ready: call == nil ? .idle : .busy
      case .leaving, .terminated, .killed: .ending
      }
    return WorkerSummary(
      slot: worker.slot, process: process, state: summaryState, call: call,
      callsDone: worker.answered, startedAt: startedAt,
      isEndedByPool: worker.phase >= .terminated && worker.reason == nil,
      fault: worker.reason.map { worker.phase == .killed ? "\($0); it was killed" : $0 })
  }
}
