internal import DequeModule
import Glibc

/// Runs a pool's callbacks, one at a time and in order, so that a slow one delays nobody but those
/// behind it. Starts its thread at the first callback.
final class CallbackThread: Sendable {
  private struct State {
    var queue = Deque<PoolJob>()
    var running: PoolJob?
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

  /// Has the callback of `job` run, some time.
  func enqueue(_ job: PoolJob) {
    let isStarted = state.withLock { state in
      state.queue.append(job)
      return state.thread != nil || start(&state)
    }
    if isStarted {
      parker.unpark()
    } else if let job = state.withLock({ $0.queue.popLast() }) {
      job.runCallbacks()  // The system has no thread for it: late is better than never.
    }
  }

  /// Drops what waits. Returns those jobs, and the one whose callback runs.
  func discard() -> [PoolJob] {
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

  private func start(_ state: inout State) -> Bool {
    state.thread = OwnedThread(named: "lido-callbacks") { [self] in run() }
    return state.thread != nil
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

/// Threads of a pool: all signals are blocked in them, so that the program's are not theirs.
enum PoolThread {
  private final class Start {
    let name: String
    let body: @Sendable () -> Void

    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Starts a thread, to be joined or detached. Nil if the system has none, `errno` tells why.
  static func start(named name: String, _ body: @escaping @Sendable () -> Void) -> pthread_t? {
    let start = Unmanaged.passRetained(Start(name, body))
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    var thread = pthread_t()
    let failure = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        Bootstrap.name(start.name)
        start.body()
        return nil
      }, start.toOpaque())
    pthread_sigmask(SIG_SETMASK, &before, nil)
    if failure == 0 { return thread }
    start.release()
    errno = failure
    return nil
  }
}
