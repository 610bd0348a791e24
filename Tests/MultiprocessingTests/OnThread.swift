import Glibc

/// A thread of a test. (Those of Swift Concurrency are few, and a call that waits would keep one.)
///
/// Unchecked, reason: the thread writes `place` before it posts `begun`, and `value` before it is
/// joined; each is read after that.
final class OnThread<Value: Sendable>: @unchecked Sendable {
  private var thread = pthread_t()
  private let body: @Sendable () -> Value
  private var value: Value?
  /// In /proc; the thread writes it before it posts `begun`.
  private var place = ""
  private var begun = sem_t()

  init(_ body: @escaping @Sendable () -> Value) {
    self.body = body
    sem_init(&begun, 0, 0)
    thread = startThread { self.run() }
    sem_wait(&begun)
  }

  private func run() {
    var place = [UInt8](repeating: 0, count: 64)
    let count = readlink("/proc/thread-self", &place, place.count)
    self.place = String(decoding: place[..<count], as: UTF8.self)
    sem_post(&begun)
    value = body()
  }

  /// Returns when the thread sleeps, or after five seconds.
  func waitUntilItSleeps() {
    let end = time(nil) + 5
    while time(nil) < end {
      guard let file = fopen("/proc/\(place)/stat", "r") else { return }
      var bytes = [UInt8](repeating: 0, count: 512)
      let count = fread(&bytes, 1, bytes.count, file)
      fclose(file)
      let text = String(decoding: bytes[..<count], as: UTF8.self)
      if text.split(separator: ")").last?.dropFirst().first == "S" { return }
      sched_yield()
    }
  }

  func join() -> Value {
    pthread_join(thread, nil)
    return value!
  }
}

private final class Start: Sendable {
  let body: @Sendable () -> Void

  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
  var thread = pthread_t()
  let start = Unmanaged.passRetained(Start(body)).toOpaque()
  let result = pthread_create(
    &thread, nil,
    { start in
      Unmanaged<Start>.fromOpaque(start!).takeRetainedValue().body()
      return nil
    }, start)
  precondition(result == 0)
  return thread
}

/// What a call threw; nil if nothing.
func thrown<Failure: Error>(_ body: () throws(Failure) -> Void) -> Failure? {
  do throws(Failure) {
    try body()
    return nil
  } catch {
    return error
  }
}
