import Glibc

/// A child that a scenario forks off; it ends with 0, or with 1 when `body` throws or fails.
struct Forked {
  let process: Int32

  init(_ body: () throws -> Void) {
    fflush(nil)
    let parent = getpid()
    process = fork()
    if process < 0 { fail("fork: \(errno)") }
    guard process == 0 else {
      Self.remember(process, of: parent)
      return
    }
    do {
      try body()
    } catch {
      print("a child: \(error)")
      fflush(nil)
      _exit(1)
    }
    fflush(nil)
    _exit(0)
  }

  /// Has a scenario that fails take its children with it: they hold the test's pipe.
  private static func remember(_ process: Int32, of parent: Int32) {
    if familyOwner != parent {
      family = []
      familyOwner = parent
      atexit {
        guard familyOwner == getpid() else { return }
        for process in family { kill(process, SIGKILL) }
      }
    }
    family.insert(process)
  }

  /// Waits for its end, and answers the wait status.
  @discardableResult
  func wait() -> Int32 {
    var status: Int32 = -1
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    family.remove(process)
    return status
  }

  /// Waits for its end, which has to be a good one.
  func joinWell(line: Int = #line) {
    let status = wait()
    if status != 0 { fail("a child ended with status \(status)", line: line) }
  }

  /// Kills it, without a chance for it to do anything, and waits until it is gone.
  func end(line: Int = #line) {
    kill(process, SIGKILL)
    check(wait(), equals: SIGKILL, line: line)
  }
}

/// Numbers that a process shares with those that it forks off.
struct SharedNumbers {
  private let start: UnsafeMutablePointer<Int>

  init(count: Int) {
    let memory = mmap(
      nil, count * MemoryLayout<Int>.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
      0)
    guard let memory, memory != MAP_FAILED else { fail("mmap: \(errno)") }
    start = memory.assumingMemoryBound(to: Int.self)
  }

  subscript(index: Int) -> Int {
    get { start[index] }
    nonmutating set { start[index] = newValue }
  }
}

/// Waits until `condition` holds, for 10 seconds at most. For what has no descriptor to wait for.
func waitUntil(_ what: String, line: Int = #line, _ condition: () throws -> Bool) rethrows {
  let end = now() + 10_000_000_000
  while try !condition() {
    if now() > end { fail("it did not happen: \(what)", line: line) }
    sched_yield()
  }
}

/// Lets a time pass that is too short for anything but to hit a process at a random place.
func pass(nanoseconds: UInt64) {
  let end = now() + nanoseconds
  while now() < end { sched_yield() }
}

/// The children of this process that live, perhaps; one thread.
private nonisolated(unsafe) var family: Set<Int32> = []
private nonisolated(unsafe) var familyOwner: Int32 = 0

/// Adds a thread to this process that does nothing: calls that wait do so in another way then.
func addThread() {
  var thread = pthread_t()
  let result = pthread_create(
    &thread, nil,
    { _ in
      while true { pause() }
    }, nil)
  check(result, equals: 0)
}
