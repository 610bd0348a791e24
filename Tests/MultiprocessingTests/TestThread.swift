import Glibc

/// A thread of a test.
final class TestThread {
  // reason: the thread writes `error` before it is joined, and it is read after that.
  private final class Work: @unchecked Sendable {
    let body: () throws -> Void
    var error: (any Error)?

    init(_ body: @escaping () throws -> Void) { self.body = body }
  }

  private let work: Work
  private let thread: pthread_t

  init(_ body: @escaping @Sendable () throws -> Void) throws {
    work = Work(body)
    var thread = pthread_t()
    let failure = pthread_create(
      &thread, nil,
      { pointer in
        // reason: it is what is passed below.
        let work = Unmanaged<Work>.fromOpaque(pointer!).takeRetainedValue()
        do { try work.body() } catch { work.error = error }
        return nil
      }, Unmanaged.passRetained(work).toOpaque())
    precondition(failure == 0, "pthread_create: \(failure)")
    self.thread = thread
  }

  /// Waits until it has ended, and throws what it threw.
  func join() throws {
    pthread_join(thread, nil)
    if let error = work.error { throw error }
  }
}

/// What `body` answers in a thread of its own, which has ended when this returns.
func inThread<Value>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
  nonisolated(unsafe) var value: Value?
  try TestThread { value = try body() }.join()
  // reason: the thread would have thrown otherwise.
  return value!
}
