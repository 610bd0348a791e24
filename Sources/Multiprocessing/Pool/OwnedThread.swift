import Glibc

/// A thread that is joined, or left to itself with the last reference to this object.
final class OwnedThread: Sendable {
  /// nil once it is joined.
  private let thread: Mutex<pthread_t?>
  private let finished: Completion
  /// The process that has it; in a fork of that it is but a number.
  private let owner = getpid()

  /// Starts a thread in which all signals are blocked. Nil if the system has none, `errno` tells
  /// why.
  init?(named name: String, _ body: @escaping @Sendable () -> Void) {
    let finished = Completion()
    let start = PoolThread.start(named: name) {
      body()
      finished.set()
    }
    guard let start else { return nil }
    thread = Mutex(start)
    self.finished = finished
  }

  deinit {
    if getpid() == owner, let thread = take() { pthread_detach(thread) }
  }

  /// Whether this is called in it.
  var isCurrent: Bool {
    guard let thread = thread.withLock(\.self) else { return false }
    return pthread_equal(thread, pthread_self()) != 0
  }

  /// Waits until it is gone; false if it is not by `deadline`.
  func join(until deadline: Deadline) -> Bool {
    guard finished.wait(until: deadline) else { return false }
    if let thread = take() { pthread_join(thread, nil) }
    return true
  }

  private func take() -> pthread_t? {
    thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
  }
}

/// Threads of the library: all signals are blocked in them, so that the program's are not theirs.
private enum PoolThread {
  private final class Start {
    let name: String
    let body: @Sendable () -> Void

    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Starts a thread, to be joined or detached.
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
