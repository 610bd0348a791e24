internal import DequeModule
import Glibc

/// Runs a pool's callbacks, one at a time and in order, so that a slow one delays nobody but those
/// behind it. Starts its thread at the first callback.
final class CallbackThread: Sendable {
  private struct State {
    var queue = Deque<PoolJob>()
    var running: PoolJob?
    var thread: pthread_t?
    var isStopping = false
    /// Whether nobody will join the thread: it goes by itself.
    var isDetached = false
  }

  private let state = Mutex(State())
  private let parker = Parker()
  /// The thread runs no callback any more, and will run none.
  private let finished = Completion()
  /// Called, in the callback thread, whenever there is nothing left to do.
  private let becameIdle: @Sendable () -> Void

  init(becameIdle: @escaping @Sendable () -> Void) {
    self.becameIdle = becameIdle
  }

  /// Whether no callback runs or waits.
  var isIdle: Bool { state.withLock { $0.running == nil && $0.queue.isEmpty } }

  /// Whether this is called in a callback.
  var isCurrent: Bool {
    guard let thread = state.withLock({ $0.thread }) else { return false }
    return pthread_equal(thread, pthread_self()) != 0
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
    let hasThread = state.withLock { state in
      state.isStopping = true
      return state.thread != nil
    }
    if hasThread { parker.unpark() } else { finished.set() }
  }

  /// Waits, after `stop`, until the thread is gone; false if it is not by `deadline`.
  func join(until deadline: Deadline) -> Bool {
    guard finished.wait(until: deadline) else { return false }
    let thread = state.withLock { state in
      defer { state.thread = nil }
      return state.isDetached ? nil : state.thread
    }
    if let thread { pthread_join(thread, nil) }
    return true
  }

  /// Nobody will call `join`.
  func detach() {
    state.withLock { state in
      guard !state.isDetached else { return }
      state.isDetached = true
      if let thread = state.thread { pthread_detach(thread) }
    }
  }

  private func start(_ state: inout State) -> Bool {
    let thread = PoolThread.start(named: "lido-callbacks") { [self] in run() }
    state.thread = thread
    if let thread, state.isDetached { pthread_detach(thread) }
    return thread != nil
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
        return finished.set()
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
