import CPlatform
import Glibc
import Multiprocessing

/// Queues between processes.
enum QueueScenarios {
  /// Q1, Q2, Q4, Q12: a child takes what its parent put, and puts for its parent.
  static func both(_: ForkServer) throws {
    let queue = try Queue<Int>(maxSize: 6)
    let done = try SimpleQueue<String>()
    check(try done.isEmpty, "it is not empty")
    try queue.put(1)
    try queue.put(2, block: true)
    try queue.put(3, timeout: .seconds(1))
    try queue.put(4, block: false)
    try queue.put(5, block: false, timeout: .seconds(9))
    try queue.putNoWait(6)
    check(try queue.isFull && !queue.isEmpty, "it is not full")
    check(try queue.qsize, equals: 6)
    let (go, goOn) = try Pipe(duplex: false)
    let child = Forked {
      _ = try go.receiveBytes()
      for number in 1...6 { check(try queue.get(), equals: number) }
      try done.put("taken")
    }
    for timeout in [Duration.milliseconds(50), .zero, .seconds(-1)] {
      let began = now()
      PipeScenarios.expect(.full) { () throws(QueueError) in try queue.put(7, timeout: timeout) }
      check(timeout <= .zero || now() - began >= 50_000_000, "it came early")
    }
    PipeScenarios.expect(.full) { () throws(QueueError) in try queue.putNoWait(7) }
    check(try done.isEmpty, "it is not empty")
    try goOn.sendBytes([])
    check(try done.get(), equals: "taken")
    check(try done.isEmpty && queue.isEmpty && !queue.isFull, "it is not empty")
    child.joinWell()
  }

  /// Q3: a child forked off from a process that has put already goes on with the same queue.
  static func forked(_: ForkServer) throws {
    let queue = try Queue<Int>()
    for number in 0..<10 { try queue.put(number) }
    Forked { for number in 10..<20 { try queue.put(number) } }.joinWell()
    for number in 0..<20 { check(try queue.get(), equals: number) }
    PipeScenarios.expect(.empty) { () throws(QueueError) in _ = try queue.get(block: false) }
  }

  /// A process that put 20,000 items, more than any pipe takes, ends before anyone takes one.
  static func leftBehind(_: ForkServer) throws {
    let queue = try Queue<String>()
    let child = Forked {
      for number in 0..<20_000 { try queue.put("item \(number) \("with some text")") }
      queue.close()
      queue.joinThread()
    }
    child.joinWell()
    check(try queue.qsize, equals: 20_000)
    for number in 0..<20_000 {
      check(try queue.getNoWait(), equals: "item \(number) with some text")
    }
    check(try queue.isEmpty, "it is not empty")
  }

  /// Producers and consumers that wait for one another: each item once, each producer's in order.
  static func crowd(_: ForkServer) throws {
    let queue = try Queue<[Int]>(maxSize: 5)
    let (producers, items) = (3, 4_000)
    let seen = SharedNumbers(count: producers * items)
    let consuming = (0..<3).map { _ in
      Forked {
        var last = [Int](repeating: -1, count: producers)
        while true {
          let item = try queue.get()
          if item.isEmpty { break }
          check(item[1] > last[item[0]], "item \(item[1]) after \(last[item[0]])")
          last[item[0]] = item[1]
          seen[item[0] * items + item[1]] += 1
        }
      }
    }
    let producing = (0..<producers).map { producer in
      Forked {
        for number in 0..<items {
          try queue.put([producer, number] + [Int](repeating: 0, count: number % 200))
        }
      }
    }
    for child in producing { child.joinWell() }
    for _ in consuming { try queue.put([]) }
    for child in consuming { child.joinWell() }
    for index in 0..<producers * items {
      check(seen[index] == 1, "item \(index) came \(seen[index]) times")
    }
    check(try queue.isEmpty, "it is not empty")
  }

  // MARK: memory

  /// The memory behind the only queue of this process.
  private static func memory() -> (descriptor: Int32, bytes: Int) {
    for descriptor in openDescriptors() {
      var name = [UInt8](repeating: 0, count: 256)
      let count = readlink("/proc/self/fd/\(descriptor)", &name, name.count)
      guard count > 0,
        String(decoding: name[..<count], as: UTF8.self).hasPrefix("/memfd:lido-queue")
      else { continue }
      var status = stat()
      fstat(Int32(descriptor), &status)
      return (Int32(descriptor), Int(status.st_blocks) * 512)
    }
    fail("there is no queue")
  }

  /// How many holders of the mutex died.
  private static func recoveries() -> Int {
    guard let queue = lido_queue_map(memory().descriptor) else { fail("no queue: \(errno)") }
    defer { lido_queue_unmap(queue) }
    return Int(lido_queue_count(queue).recoveries)
  }

  /// 100 MB go through in small and large items, with and without something left in it.
  static func memoryGivenBack(_: ForkServer) throws {
    for (size, waiting) in [(1_000, 0), (1_000, 50), (300_000, 0), (300_000, 3), (16 << 20, 0)] {
      let queue = try Queue<[UInt8]>()
      let item = [UInt8](repeating: 7, count: size)
      for _ in 0..<waiting { try queue.put(item) }
      for _ in 0..<max(100_000_000 / size, 2) {
        try queue.put(item)
        _ = try queue.get()
      }
      let held = memory().bytes
      let most = (4 << 20) + waiting * size
      check(held <= most, "\(held) bytes are held for \(waiting) items of \(size)")
      // All in, then all out.
      for _ in 0..<30_000_000 / size { try queue.put(item) }
      while try !queue.isEmpty { check(try queue.get() == item, "an item is broken") }
      check(memory().bytes <= 4 << 20, "\(memory().bytes) bytes are held for nothing")
      queue.close()
    }
  }

  /// No memory for an item: an error, and all else as before.
  static func noMemory(_: ForkServer) throws {
    let queue = try Queue<[UInt8]>()
    try queue.put([1])
    var limit = rlimit(rlim_cur: 1 << 20, rlim_max: rlim_t.max)
    check(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0, "setrlimit")
    PipeScenarios.expect(.system(EFBIG)) { () throws(QueueError) in
      try queue.put([UInt8](repeating: 0, count: 2 << 20))
    }
    try queue.put([2])
    check(try queue.qsize, equals: 2)
    check(try queue.get() + queue.get(), equals: [1, 2])
    check(memory().bytes < 1 << 20, "\(memory().bytes) bytes are held")
    let (reader, writer) = try Pipe()
    PipeScenarios.expect(.system(EFBIG)) { () throws(ConnectionError) in
      try writer.sendBytes([UInt8](repeating: 0, count: 2 << 20))
    }
    check(try !reader.poll(), "half of it came")
  }

  // MARK: deaths

  private static func item(_ number: Int) -> [Int] {
    let count =
      switch number % 40 {
      case 0: 30_000
      case 1, 2, 3: 2_000
      default: number % 30
      }
    return [Int](repeating: number, count: 1 + count)
  }

  private static func requireWhole(_ item: [Int]) {
    let wanted = self.item(item[0])
    // memcmp, because == takes its time in a debug build, and most of it is to pass in the queue.
    let isWhole = item.count == wanted.count && memcmp(item, wanted, item.count * 8) == 0
    check(isWhole, "item \(item[0]) is broken")
  }

  private static func takeAll(
    _ queue: Queue<[Int]>, _ body: (Int) -> Void
  ) throws(QueueError) {
    do throws(QueueError) {
      while true {
        let item = try queue.getNoWait()
        requireWhole(item)
        body(item[0])
      }
    } catch {
      check(error.code, equals: .empty)
    }
  }

  /// Producers killed at random moments: what they put stays, whole and in order, and the queue
  /// works on; also for those that wait.
  static func killedProducers(_: ForkServer) throws {
    var random = SystemRandomNumberGenerator()
    for maxSize in [0, 4] {
      let queue = try Queue<[Int]>(maxSize: maxSize)
      let put = SharedNumbers(count: 1)
      var next = 0
      for _ in 0..<300 {
        put[0] = next
        let child = Forked {
          for number in next... {
            try queue.put(item(number))
            put[0] = number + 1
          }
        }
        waitUntil("it puts") { put[0] > next }
        pass(nanoseconds: .random(in: 0..<200_000, using: &random))
        child.end()
        try takeAll(queue) { number in
          check(number, equals: next)
          next += 1
        }
        check(put[0]...put[0] + 1 ~= next, "\(next) came of \(put[0])")
      }
      print("died with the mutex: \(recoveries())")
      check(memory().bytes <= 4 << 20, "\(memory().bytes) bytes are held for nothing")
      queue.close()
    }
  }

  /// Consumers killed at random moments: each takes one item with it at most.
  static func killedConsumers(_: ForkServer) throws {
    var random = SystemRandomNumberGenerator()
    let queue = try Queue<[Int]>()
    let (rounds, each) = (300, 60)
    let taken = SharedNumbers(count: rounds * each + 1)
    for round in 0..<rounds {
      let numbers = round * each..<(round + 1) * each
      taken[rounds * each] = 0
      for number in numbers { try queue.put(item(number)) }
      let child = Forked {
        while true {
          let item = try queue.get()
          requireWhole(item)
          taken[item[0]] += 1
          taken[rounds * each] += 1
        }
      }
      waitUntil("it takes") { taken[rounds * each] > 0 }
      pass(nanoseconds: .random(in: 0..<300_000, using: &random))
      child.end()
      try takeAll(queue) { taken[$0] += 1 }
      let lost = numbers.count { taken[$0] == 0 }
      check(lost <= 1, "\(lost) items are lost")
      check(numbers.allSatisfy { taken[$0] <= 1 }, "an item came twice")
    }
    // A matter of chance here; `QueueDeathScenarios` leave nothing to it.
    print("died with the mutex: \(recoveries())")
  }

  /// A producer that is killed between two steps leaves nobody asleep who has something to take,
  /// though nobody ever puts again; and one that waits wakes when others that waited are killed.
  static func killedNearSleepers(_: ForkServer) throws {
    var random = SystemRandomNumberGenerator()
    let queue = try Queue<[Int]>()
    let numbers = SharedNumbers(count: 2)
    let sleepers = (0..<2).map { _ in
      Forked { while true { requireWhole(try queue.get()) } }
    }
    for _ in 0..<700 {
      numbers[0] = 0
      let producer = Forked {
        while true {
          try queue.put(item(5))
          numbers[0] += 1
          // So that they fall asleep again.
          waitUntil("it is taken") { (try? queue.isEmpty) == true }
        }
      }
      waitUntil("it puts") { numbers[0] > 0 }
      pass(nanoseconds: .random(in: 0..<100_000, using: &random))
      producer.end()
      try waitUntil("all is taken") { try queue.isEmpty }
    }
    sleepers[0].end()
    // Asleep, and killed there.
    for _ in 0..<20 {
      let waiting = (0..<3).map { _ in Forked { _ = try queue.get() } }
      for child in waiting {
        waitUntil("it sleeps") { PipeScenarios.state(of: child.process) == "S" }
      }
      for child in waiting { child.end() }
      try queue.put(item(5))
      try waitUntil("the one that is left takes it") { try queue.isEmpty }
    }
    sleepers[1].end()
    try queue.put(item(5))
    check(try queue.get(timeout: .seconds(5)), equals: item(5))
  }

  /// A process that is stopped, perhaps in the middle, holds nobody up who has a time limit.
  static func stopped(_: ForkServer) throws {
    let queue = try Queue<[UInt8]>(maxSize: 2)
    let child = Forked {
      let item = [UInt8](repeating: 1, count: 5_000_000)
      while true {
        try queue.put(item)
        _ = try queue.get()
      }
    }
    var random = SystemRandomNumberGenerator()
    var held = 0
    for _ in 0..<4 {
      pass(nanoseconds: .random(in: 0..<20_000_000, using: &random))
      kill(child.process, SIGSTOP)
      waitUntil("it is stopped") { PipeScenarios.state(of: child.process) == "T" }
      let began = now()
      do throws(QueueError) {
        try queue.put([], timeout: .milliseconds(100))
        _ = try queue.get(block: false)
      } catch {
        check(error.code == .full || error.code == .empty, "\(error)")
        held += 1
      }
      check(now() - began < 3_000_000_000, "it took \((now() - began) / 1_000_000) ms")
      _ = try queue.qsize
      kill(child.process, SIGCONT)
    }
    print("held up \(held) times of 4")
    child.end()
    // It may be that there is one of its items in it, or one of ours.
    while try !queue.isEmpty { _ = try queue.get(timeout: .seconds(1)) }
    try queue.put([9])
    check(try queue.get(), equals: [9])
  }

  // MARK: figures

  /// For a release build; see the figures beside Python's in the library's documentation.
  static func measure(_: ForkServer) throws {
    let count = 100_000
    try measureRoundTrips(count, "pipe, round trips")
    var began = now()
    let (reader, writer) = try Pipe(duplex: false)
    let sender = Forked {
      reader.close()
      for number in 0..<count { try writer.send(number) }
    }
    writer.close()
    began = now()
    for _ in 0..<count { _ = try reader.receive(Int.self) }
    report("pipe, one way", count, since: began)
    sender.wait()
    let queue = try Queue<Int>()
    began = now()
    let producer = Forked { for number in 0..<count { try queue.put(number) } }
    for _ in 0..<count { _ = try queue.get() }
    report("queue, one producer", count, since: began)
    producer.wait()
    let answers = try Queue<Int>()
    let answering = Forked { for _ in 0..<count / 4 { try answers.put(try queue.get()) } }
    began = now()
    for number in 0..<count / 4 {
      try queue.put(number)
      check(try answers.get(), equals: number)
    }
    report("queue, round trips", count / 4, since: began)
    answering.wait()
    began = now()
    for number in 0..<count { try queue.put(number) }
    report("queue, put", count, since: began)
    began = now()
    for _ in 0..<count { _ = try queue.get() }
    report("queue, get", count, since: began)
    addThread()
    try measureRoundTrips(count, "pipe, round trips with two threads each")
  }

  private static func measureRoundTrips(_ count: Int, _ what: String) throws {
    let (parent, child) = try Pipe()
    let echo = Forked {
      if lido_has_one_thread() == 0 { addThread() }
      parent.close()
      do { while true { try child.send(try child.receive(Int.self)) } } catch {}
    }
    child.close()
    let began = now()
    for number in 0..<count {
      try parent.send(number)
      check(try parent.receive(Int.self), equals: number)
    }
    report(what, count, since: began)
    parent.close()
    echo.wait()
  }

  private static func report(_ what: String, _ count: Int, since began: UInt64) {
    let seconds = Double(now() - began) / 1e9
    print("\(what): \(Int(Double(count) / seconds))/s")
  }
}
