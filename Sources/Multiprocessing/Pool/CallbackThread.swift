internal import DequeModule
import Glibc

/// Runs a pool's callbacks, one at a time and in order, so that a slow one delays nobody but those
/// behind it. Has a thread from the first job with a callback on.
final class CallbackThread: Sendable {
  private struct State {
    var queue = Deque<any PoolJob>()
    var running: (any PoolJob)?
    var thread: OwnedThread?
    var isStopping = false
  }

  private let state = Mutex(State())
  private let parker = Parker()
  /// Called, in the callback thread, whenever there is nothing left to do.
  private let becameIdle: @Sendable () -> Void

  init(becameIdle: @escaping @Sendable () -> Void) {
    self.becameIdle = becameIdle
  }

  /// Whether no callback runs or waits.
  var isIdle: Bool { state.withLock { $0.running == nil && $0.queue.isEmpty } }

  /// Whether this is called in a callback.
  var isCurrent: Bool {
    state.withLock { $0.thread }?.isCurrent ?? false
  }

  /// Has a thread for callbacks from now on. To be called before a job with one is submitted: who
  /// wants it hears that there is none, and the supervisor need not run what may wait for it.
  func start() throws(SystemCallError) {
    try state.withLock { (state) throws(SystemCallError) in
      guard state.thread == nil else { return }
      state.thread = OwnedThread(named: "lido-callbacks") { [self] in run() }
      if state.thread == nil { throw SystemCallError("pthread_create", number: errno) }
    }
  }

  /// Has the callback of `job` run, some time after `start`.
  func enqueue(_ job: any PoolJob) {
    state.withLock { $0.queue.append(job) }
    parker.unpark()
  }

  /// Drops what waits. Returns those jobs, and the one whose callback runs.
  func discard() -> [any PoolJob] {
    state.withLock { state in
      defer { state.queue.removeAll() }
      return Array(state.queue) + (state.running.map { [$0] } ?? [])
    }
  }

  /// Ends the thread once its callback has returned.
  func stop() {
    state.withLock { $0.isStopping = true }
    parker.unpark()
  }

  /// Waits, after `stop`, until the thread is gone; false if it is not by `deadline`.
  func join(until deadline: Deadline) -> Bool {
    state.withLock { $0.thread }?.join(until: deadline) ?? true
  }

  private func run() {
    while true {
      let (job, isStopping) = state.withLock { state in
        state.running = state.queue.popFirst()
        return (state.running, state.isStopping)
      }
      if let job {
        job.runCallbacks()
        let isIdle = state.withLock { state in
          state.running = nil
          return state.queue.isEmpty
        }
        if isIdle { becameIdle() }
      } else if isStopping {
        return
      } else {
        parker.park()
      }
    }
  }
}
