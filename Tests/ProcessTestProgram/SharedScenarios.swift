import Glibc
import Multiprocessing

/// Tells another process that something was reached.
struct Milestone {
  private let ends = ForkScenarios.makePipe()

  /// Says so, once for each wait.
  func reach() { check(write(ends.write, "x", 1), equals: 1) }

  /// Waits until someone has said so; fails after 10 seconds.
  func await(line: Int = #line) {
    var set = pollfd(fd: ends.read, events: Int16(POLLIN), revents: 0)
    check(poll(&set, 1, 10_000), equals: 1, line: line)
    var byte: UInt8 = 0
    check(read(ends.read, &byte, 1), equals: 1, line: line)
  }

  func close() {
    Glibc.close(ends.read)
    Glibc.close(ends.write)
  }
}

/// Never returns, so that the caller can only be killed.
func waitToBeKilled() -> Never {
  while true { pause() }
}

/// Shared values and arrays.
enum SharedScenarios {
  struct Point: Equatable {
    var x: Int32
    var y: Double
  }

  /// Checks that a child sees the first and the parent the second.
  private static func travels<T: BitwiseCopyable & Sendable & Equatable>(
    _ first: T, _ second: T, line: Int = #line
  ) throws {
    for lock in [SharedLock.own, .none, .shared(try Lock()), .shared(try RLock())] {
      let value = try Shared.Value(first, lock: lock)
      check(value.value, equals: first, line: line)
      let child = Forked {
        check(value.value, equals: first, line: line)
        value.value = second
      }
      check(child.wait(), equals: 0, line: line)
      check(value.value, equals: second, line: line)
    }
  }

  /// V1, V2, A4: of every type of the table, and structures.
  static func values(_ forkServer: ForkServer) throws {
    try travels(Int8(-100), 100)
    try travels(UInt8(1), 255)
    try travels(Int16(-232), 234)
    try travels(UInt16(0), 65535)
    try travels(Int32(4343), 24234)
    try travels(UInt32(1), .max)
    try travels(Int.min, 5)
    try travels(UInt.max, 0)
    try travels(Int64(-1), 1 << 33)
    try travels(UInt64.max, 1 << 33)
    try travels(Float(1.5), -0.5)
    try travels(Double(3.625), -4.25)
    try travels(Unicode.Scalar("a"), "😀")
    try travels(Point(x: 1, y: 2), Point(x: -3, y: .infinity))
  }

  /// A1, A4: what a child does to an array in place is seen.
  static func arrays(_ forkServer: ForkServer) throws {
    for lock in [SharedLock.own, .none] {
      let numbers: [Int32] = [680, 626, 934, 821, 150, 233, 548, 982, 714, 831]
      let array = try Shared.Array(numbers, lock: lock)
      let child = Forked {
        try array.withUnsafeMutableBufferPointer { elements in
          for index in elements.indices.dropFirst() { elements[index] += elements[index - 1] }
        }
      }
      check(child.wait(), equals: 0)
      var sum: Int32 = 0
      check(
        Swift.Array(array),
        equals: numbers.map {
          sum += $0
          return sum
        })
    }
    let text = try Shared.Array("hello".utf8)
    let child = Forked { text.value = text.value.map { $0 - 32 } }
    check(child.wait(), equals: 0)
    check(String(decoding: text.value, as: UTF8.self), equals: "HELLO")
  }

  /// A2: the memory of one that is gone is zeroed for the next.
  static func zeroFill(_ forkServer: ForkServer) throws {
    for _ in 0..<3 {
      let array = try Shared.Array<Int32>(count: 4096)
      check(array.allSatisfy { $0 == 0 }, "it does not begin with zeroes")
      array[0...] = [Int32](repeating: -1, count: 4096)
      check(array.allSatisfy { $0 == -1 }, "it does not hold what it was given")
    }
  }

  /// What no process can see any more is gone: descriptors, mappings and memory.
  static func leaks(_ forkServer: ForkServer) throws {
    func round() throws {
      let lock = try Lock()
      let nested = try RLock()
      let value = try Shared.Value(1.5)
      let other = try Shared.Value(1, lock: .shared(lock))
      let array = try Shared.Array<Int>(count: 100_000)
      check(Forked { array[1] = 1 }.wait(), equals: 0)
      try array.withLock { $0[0] = 1 }
      try other.withLock { $0 += 1 }
      try value.getLock().acquire()
      value.value += 1
      // Dropped while this thread holds them.
      try nested.acquire()
      try nested.acquire()
      try lock.acquire()
    }
    try round()
    let before = (openDescriptors(), mappings())
    for _ in 0..<50 { try round() }
    check(openDescriptors(), equals: before.0)
    check(mappings(), equals: before.1)
    check(!mappings().contains("lido-shared"), "memory is still mapped")
    // The list that this thread and the kernel keep of what it holds is sound still.
    let lock = try Lock()
    let child = Forked { check(try lock.acquire(), "it is not free") }
    check(child.wait(), equals: 0)
    check(lockError { try lock.acquire() }, equals: .init(.lockOwnerDied, owner: child.process))
    try lock.withLock {}
  }

  /// What the system refuses is an error, and leaves nothing behind.
  static func refusals(_ forkServer: ForkServer) throws {
    let before = openDescriptors()
    // Memory is a file to this limit, and going beyond it would be a SIGXFSZ.
    try limited(RLIMIT_FSIZE, to: 1 << 20) {
      check(sharedError { try Shared.Array<Int>(count: 1 << 20) }, equals: SharedError(.noMemory))
      _ = try Shared.Array<Int>(count: 1000)
    }
    try limited(RLIMIT_AS, to: 1 << 40) {
      check(sharedError { try Shared.Array<UInt8>(count: 1 << 41) }, equals: SharedError(.noMemory))
    }
    check(openDescriptors(), equals: before)
    try limited(RLIMIT_NOFILE, to: rlim_t(before.count + 1)) {
      // The numbers below the limit: whatever gaps there are.
      var taken: [Int32] = []
      while case let descriptor = dup(1), descriptor >= 0 { taken.append(descriptor) }
      check(lockError { _ = try Lock() }, equals: LockError(.system(EMFILE)))
      check(lockError { _ = try RLock() }, equals: LockError(.system(EMFILE)))
      check(sharedError { try Shared.Value(1) }, equals: SharedError(.system(EMFILE)))
      for descriptor in taken { close(descriptor) }
    }
    check(openDescriptors(), equals: before)
    try Lock().withLock {}
  }

  private static func limited(
    _ resource: __rlimit_resource, to most: rlim_t, _ body: () throws -> Void
  ) throws {
    var before = rlimit()
    getrlimit(__rlimit_resource_t(resource.rawValue), &before)
    var limit = rlimit(rlim_cur: most, rlim_max: before.rlim_max)
    check(setrlimit(__rlimit_resource_t(resource.rawValue), &limit), equals: 0)
    defer { setrlimit(__rlimit_resource_t(resource.rawValue), &before) }
    try body()
  }

  private static func sharedError(line: Int = #line, _ body: () throws -> some Any) -> SharedError {
    do {
      _ = try body()
    } catch let error as SharedError {
      return error
    } catch {
      fail("it threw \(error)", line: line)
    }
    fail("it threw nothing", line: line)
  }

  /// The shared mappings of this process, a line each, by what they are of. (How much of the rest
  /// there is, the allocator decides.)
  private static func mappings() -> String {
    guard let file = fopen("/proc/self/maps", "r") else { fail("/proc/self/maps") }
    defer { fclose(file) }
    var lines = ""
    var line = [CChar](repeating: 0, count: 4096)
    while fgets(&line, Int32(line.count), file) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if text.contains("memfd") || text.contains("rw-s") { lines += text }
    }
    return lines
  }

  /// The error that `body` throws.
  static func lockError(line: Int = #line, _ body: () throws -> Void) -> LockError {
    do {
      try body()
    } catch let error as LockError {
      return error
    } catch {
      fail("it threw \(error)", line: line)
    }
    fail("it threw nothing", line: line)
  }
}
