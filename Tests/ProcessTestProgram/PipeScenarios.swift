import CPlatform
import Glibc
import Multiprocessing

/// Pipes between processes.
enum PipeScenarios {
  struct Point: Codable, Equatable {
    var x: Double
    var names: [String]
  }

  /// C1, C3: a child answers whatever comes; large messages; the end of the file on both sides.
  static func echo(_: ForkServer) throws {
    let (parent, child) = try Pipe()
    let echo = Forked {
      parent.close()
      try untilTheEnd { () throws(ConnectionError) in
        try child.sendBytes(try child.receiveBytes())
        try child.send(try child.receive(Point.self))
      }
      child.close()
    }
    // Right after the start: the child has its own.
    child.close()
    let large = [UInt8](unsafeUninitializedCapacity: 16 << 20) { buffer, count in
      for index in 0..<buffer.count { buffer[index] = UInt8(truncatingIfNeeded: index &* 31) }
      count = buffer.count
    }
    for bytes in [[], [1], Array(large[..<65536]), Array(large[..<65537]), large] {
      try parent.sendBytes(bytes)
      check(try parent.receiveBytes() == bytes, "\(bytes.count) bytes came back changed")
      let point = Point(x: .infinity, names: ["\(bytes.count)"])
      try parent.send(point)
      check(try parent.receive(), equals: point)
    }
    check(try !parent.poll(), "there is something to receive")
    let began = now()
    check(try !parent.poll(timeout: .milliseconds(100)), "there is something to receive")
    check(now() - began >= 100_000_000, "the time-out came early")
    try parent.sendBytes([1])
    check(try parent.poll(timeout: nil), "poll gave up")
    parent.close()
    echo.joinWell()
  }

  /// C1: what was sent before the end is still received; then the end, again and again. EPIPE is
  /// an error and no signal.
  static func ends(_: ForkServer) throws {
    signal(SIGPIPE, SIG_DFL)
    let (reader, writer) = try Pipe(duplex: false)
    let child = Forked {
      reader.close()
      try writer.send("last words")
    }
    writer.close()
    child.joinWell()
    // C12: another process that looks takes nothing.
    Forked { check(try reader.poll(timeout: nil), "there is nothing") }.joinWell()
    check(try reader.receive(String.self), equals: "last words")
    for _ in 0..<3 {
      check(try reader.poll(), "poll does not see the end")
      expect(.endOfFile) { () throws(ConnectionError) in _ = try reader.receive(Int.self) }
      expect(.endOfFile) { () throws(ConnectionError) in _ = try reader.receiveBytes() }
    }
    // One that leaves something unread behind.
    let (left, right) = try Pipe()
    let leaving = Forked {
      left.close()
      try right.send(1)
      _ = try right.poll(timeout: nil)
    }
    right.close()
    try left.send(2)
    leaving.joinWell()
    check(try left.receive(Int.self), equals: 1)
    expect(.endOfFile) { () throws(ConnectionError) in _ = try left.receive(Int.self) }
    expect(.brokenPipe) { () throws(ConnectionError) in try left.send(3) }
    // One that waits for room when the other end goes.
    let (filled, gone) = try Pipe()
    let filling = Forked {
      gone.close()
      expect(.brokenPipe) { () throws(ConnectionError) in
        while true { try filled.sendBytes([UInt8](repeating: 0, count: 60_000)) }
      }
    }
    filled.close()
    waitUntil("it waits") { state(of: filling.process) == "S" }
    gone.close()
    filling.joinWell()
  }

  private static let writers = 4
  private static let messages = 5_000

  private static func message(_ writer: Int, _ number: Int) -> [UInt8] {
    let count =
      switch number % 50 {
      case 0: 65_537 + number * 37 % 200_000
      case 1: 65_536
      case 2, 3, 4: 10_000 + number
      default: 16 + number % 300
      }
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      for index in 0..<count {
        buffer[index] = UInt8(truncatingIfNeeded: index &* 7 &+ number &+ writer)
      }
      let head = UnsafeMutableRawBufferPointer(buffer)
      head.storeBytes(of: writer, as: Int.self)
      head.storeBytes(of: number, toByteOffset: 8, as: Int.self)
      initialized = count
    }
  }

  /// Several processes at the same end, on both sides: every message arrives whole and once.
  static func crowd(_: ForkServer) throws {
    let (reading, writing) = try Pipe(duplex: false)
    let seen = SharedNumbers(count: writers * messages)
    let readers = (0..<3).map { _ in
      Forked {
        writing.close()
        try untilTheEnd { () throws(ConnectionError) in
          let bytes = try reading.receiveBytes()
          let (writer, number) = bytes.withUnsafeBytes {
            ($0.load(as: Int.self), $0.load(fromByteOffset: 8, as: Int.self))
          }
          check(bytes == message(writer, number), "message \(number) of \(writer) is broken")
          seen[writer * messages + number] += 1
        }
      }
    }
    let senders = (0..<writers).map { writer in
      Forked {
        reading.close()
        for number in 0..<messages { try writing.sendBytes(message(writer, number)) }
      }
    }
    reading.close()
    writing.close()
    for child in senders + readers { child.joinWell() }
    for index in 0..<writers * messages {
      check(seen[index] == 1, "message \(index) came \(seen[index]) times")
    }
  }

  /// Writers that are killed at random moments leave no half message, and lose none that was sent.
  static func killedWriters(_: ForkServer) throws {
    var random = SystemRandomNumberGenerator()
    let sent = SharedNumbers(count: 1)
    for _ in 0..<300 {
      let (reader, writer) = try Pipe(duplex: false)
      sent[0] = 0
      let child = Forked {
        reader.close()
        for number in 0... {
          try writer.sendBytes(message(0, number * 5))
          sent[0] = number + 1
        }
      }
      writer.close()
      var received = 0
      let killAt = Int.random(in: 0..<40, using: &random)
      try untilTheEnd { () throws(ConnectionError) in
        let bytes = try reader.receiveBytes()
        check(bytes == message(0, received * 5), "message \(received) is broken")
        received += 1
        guard received == max(killAt, 1) else { return }
        pass(nanoseconds: .random(in: 0..<100_000, using: &random))
        kill(child.process, SIGKILL)
      }
      child.wait()
      check(sent[0]...sent[0] + 1 ~= received, "\(received) came of \(sent[0])")
    }
  }

  /// C5, C6, C7, C14: descriptors and connections go over a connection.
  static func transfer(_: ForkServer) throws {
    let (parent, child) = try Pipe()
    let other = Forked {
      parent.close()
      let handle = try child.receiveHandle()
      check(write(handle, "written", 7), equals: 7)
      check(fcntl(handle, F_GETFD) & FD_CLOEXEC != 0, "it is not close-on-exec")
      close(handle)
      expect(.noDescriptor) { () throws(ConnectionError) in _ = try child.receiveHandle() }
      struct Parcel: Codable {
        var name: String
        var connections: [Connection]
      }
      let parcel = try child.receive(Parcel.self)
      for connection in parcel.connections { try connection.send(parcel.name) }
    }
    child.close()
    // C6: a number above those that select(2) takes.
    var ends: [Int32] = [0, 0]
    check(pipe(&ends) == 0, "pipe")
    let high = fcntl(ends[1], F_DUPFD_CLOEXEC, 1500)
    check(high >= 1500, "fcntl: \(errno)")
    try parent.sendHandle(high)
    close(high)
    close(ends[1])
    var text = [UInt8](repeating: 0, count: 7)
    check(read(ends[0], &text, 7), equals: 7)
    check(String(decoding: text, as: UTF8.self), equals: "written")
    try parent.send("no handle")
    struct Parcel: Codable {
      var name: String
      var connections: [Connection]
    }
    let first = try Pipe()
    let second = try Pipe(duplex: false)
    // Large enough to need a descriptor of its own.
    let name = String(repeating: "n", count: 100_000)
    try parent.send(Parcel(name: name, connections: [first.1, second.1]))
    first.1.close()
    second.1.close()
    check(try first.0.receive(String.self), equals: name)
    check(try second.0.receive(String.self), equals: name)
    other.joinWell()
    expect(.endOfFile) { () throws(ConnectionError) in _ = try first.0.receive(Int.self) }
  }

  /// C9, C15: connections and sentinels together.
  static func waiting(_: ForkServer) throws {
    let (parent, child) = try Pipe()
    let (go, goOn) = try Pipe(duplex: false)
    let other = Forked {
      parent.close()
      goOn.close()
      try child.send(1)
      _ = try go.poll(timeout: nil)
    }
    child.close()
    let sentinel = pidfd_open(other.process, 0)
    check(sentinel >= 0, "pidfd_open: \(errno)")
    let both: [any Waitable] = [sentinel, parent]
    var ready = try wait(for: both)
    check(ready.count == 1 && ready[0] as? Connection == parent, "\(ready)")
    check(try parent.receive(Int.self), equals: 1)
    for timeout in [Duration.zero, .seconds(-1), .milliseconds(50)] {
      let began = now()
      check(try wait(for: both, timeout: timeout).isEmpty, "something is ready")
      check(timeout < .milliseconds(50) || now() - began >= 50_000_000, "it came early")
    }
    goOn.close()
    go.close()
    check(try wait(for: [sentinel]), equals: [sentinel])
    // EOF counts.
    ready = try wait(for: both, timeout: nil)
    check(ready.count, equals: 2)
    check(ready[0] as? Int32, equals: sentinel)
    other.joinWell()
  }

  /// A wait for more ends than half of the descriptors that may be open, or for one very often, is
  /// one like any other; for more than may be open it is an error.
  static func many(_: ForkServer) throws {
    setOpenFileLimit(1_024)
    var readers: [Connection] = []
    let (last, writer) = try Pipe(duplex: false)
    for _ in 0..<600 {
      let (reader, other) = try Pipe()
      other.close()
      readers.append(reader)
    }
    // All are at their ends but one.
    check(try wait(for: readers + [last], timeout: .zero).count, equals: 600)
    let often = [Connection](repeating: last, count: 3_000)
    check(try wait(for: often, timeout: .milliseconds(10)).count, equals: 0)
    try writer.send(1)
    check(try wait(for: often).count, equals: 3_000)
    setOpenFileLimit(500)
    expect(.system(EINVAL)) { () throws(ConnectionError) in _ = try wait(for: readers) }
    check(try wait(for: [last, last]).count, equals: 2)
    setOpenFileLimit(1_024)
    // With a second thread each connection has a second descriptor.
    for reader in readers[400...] { reader.close() }
    addThread()
    check(try wait(for: readers[..<400] + [last], timeout: .zero).count, equals: 401)
    check(try wait(for: often).count, equals: 3_000)
    for reader in readers { reader.close() }
  }

  private static func setOpenFileLimit(_ count: UInt) {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = count
    check(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit), equals: 0)
  }

  /// C16: a signal that a function of the program takes ends no wait, early or otherwise.
  static func interrupted(_: ForkServer) throws {
    // No SA_RESTART: every system call that waits ends with EINTR.
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in interruptions += 1 }
    check(sigaction(SIGALRM, &action, nil) == 0, "sigaction")
    // Whoever started this may have blocked them.
    var none = sigset_t()
    sigemptyset(&none)
    sigprocmask(SIG_SETMASK, &none, nil)
    let (parent, child) = try Pipe()
    let queue = try Queue<Int>(maxSize: 1)
    let other = Forked {
      parent.close()
      for number in 0..<300 {
        check(try child.receive(Int.self), equals: number)
        pass(nanoseconds: 500_000)
        try child.sendBytes([UInt8](repeating: UInt8(number & 0xFF), count: 100_000))
        try queue.put(number)
      }
    }
    var timer = itimerval(
      it_interval: timeval(tv_sec: 0, tv_usec: 200), it_value: timeval(tv_sec: 0, tv_usec: 200))
    setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
    for number in 0..<300 {
      try parent.send(number)
      check(try parent.receiveBytes().count, equals: 100_000)
      check(try queue.get(), equals: number)
    }
    let began = now()
    check(try !parent.poll(timeout: .milliseconds(100)), "something came")
    check(try wait(for: [parent], timeout: .milliseconds(100)).isEmpty, "something came")
    expect(.empty) { () throws(QueueError) in
      _ = try queue.get(timeout: .milliseconds(100))
    }
    check(now() - began >= 300_000_000, "a wait ended early")
    timer = itimerval()
    setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
    check(interruptions > 500, "only \(interruptions) signals")
    other.joinWell()
  }

  /// Repeats `body` until there is nothing more to receive.
  private static func untilTheEnd(
    _ body: () throws(ConnectionError) -> Void
  ) throws(ConnectionError) {
    do throws(ConnectionError) {
      while true { try body() }
    } catch {
      if error.code != .endOfFile { throw error }
    }
  }

  /// Whatever becomes of a message, no descriptor is left open. One process is enough.
  static func leaks(_: ForkServer) throws {
    let before = openDescriptors()
    for hasThreads in [false, true] {
      if hasThreads { addThread() }
      for _ in 0..<20 {
        let (left, right) = try Pipe()
        let (reader, writer) = try Pipe(duplex: false)
        let long = [UInt8](repeating: 1, count: 100_000)
        for round in 0..<8 {
          try left.send([reader, writer])
          try left.sendBytes(long)
          try left.sendHandle(0)
          try left.send(long)
          // Each kind, received as what it is and as what it is not.
          _ = try? right.receive([Connection].self)
          if round % 2 == 0 { _ = try? right.receiveHandle() }
          if round % 3 == 0 { _ = try? right.receiveBytes(maxLength: 5) }
          if round % 4 == 0 { _ = try? right.receive(Int.self) }
          while try right.poll() { _ = try? right.receiveBytes() }
        }
        // Never received.
        try left.send([reader])
        try left.sendBytes(long)
        check(try wait(for: [left, right], timeout: .zero), equals: [right])
        let queue = try Queue<[UInt8]>()
        try queue.put(long)
        _ = try queue.get()
      }
      check(openDescriptors(), equals: before)
    }
  }

  /// "S" when it waits, "R" when it runs.
  static func state(of process: Int32) -> Character? {
    guard let file = fopen("/proc/\(process)/stat", "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 512)
    let count = fread(&bytes, 1, bytes.count, file)
    let text = String(decoding: bytes[..<count], as: UTF8.self)
    return text.split(separator: ")").last?.dropFirst().first
  }

  /// Fails unless `body` throws this error.
  static func expect(
    _ code: ConnectionError.Code, line: Int = #line, _ body: () throws(ConnectionError) -> Void
  ) {
    do throws(ConnectionError) {
      try body()
      fail("no error", line: line)
    } catch {
      check(error.code, equals: code, line: line)
    }
  }

  static func expect(
    _ code: QueueError.Code, line: Int = #line, _ body: () throws(QueueError) -> Void
  ) {
    do throws(QueueError) {
      try body()
      fail("no error", line: line)
    } catch {
      check(error.code, equals: code, line: line)
    }
  }
}

/// How many signals came; one thread.
private nonisolated(unsafe) var interruptions = 0
