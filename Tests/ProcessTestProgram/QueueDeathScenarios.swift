import CPlatform
import Glibc
import Multiprocessing

/// A process that uses a queue is killed after each instruction, while another one sleeps for what
/// it is about to do. One run does every second one while the mutex is held, beginning at either,
/// and few of the others: all of them would take minutes.
enum QueueDeathScenarios {
  private static let fewInstructions = 20

  /// A producer dies; a consumer sleeps.
  static func putting(_: ForkServer) throws {
    let rig = Rig(capacity: 0)
    let sleeper = Forked { while true { rig.get() } }
    let deaths = sweep(rig, sleeper) {
      rig.put()
    } afterwards: {
      waitUntil("the sleeper takes what was put") { rig.count == 0 }
      rig.put()
      waitUntil("the sleeper takes what is put next") { rig.count == 0 }
    }
    print("\(deaths) deaths, \(rig.recoveries) of them with the mutex")
    check(rig.recoveries > 20, "the mutex was hardly held")
    sleeper.end()
  }

  /// A consumer dies; a producer sleeps because the queue is full.
  static func getting(_: ForkServer) throws {
    let rig = Rig(capacity: 1)
    let sleeper = Forked { while true { rig.put() } }
    waitUntil("it is full") { rig.count == 1 }
    let deaths = sweep(rig, sleeper) {
      rig.get()
    } afterwards: {
      waitUntil("the sleeper fills the place") { rig.count == 1 }
      rig.get()
      waitUntil("the sleeper fills the next place") { rig.count == 1 }
    }
    print("\(deaths) deaths, \(rig.recoveries) of them with the mutex")
    check(rig.recoveries > 20, "the mutex was hardly held")
    sleeper.end()
  }

  /// One dies with the mutex, and then the next one while it sets that right.
  static func recovering(_: ForkServer) throws {
    let rig = Rig(capacity: 0)
    let sleeper = Forked { while true { rig.get() } }
    // The way to an instruction is the same each time only while nobody else is on it: so the mutex
    // is held after one if any of three tries says so, and one in the middle of these is taken.
    func isHeld(after count: Int) -> Bool {
      waitUntil("it sleeps") { PipeScenarios.state(of: sleeper.process) == "S" }
      let recoveries = rig.recoveries
      check(step(count) { rig.put() } == nil, "the mutex is never held")
      rig.put()
      waitUntil("it is taken") { rig.count == 0 }
      return rig.recoveries > recoveries
    }
    func isHeldOnce(after count: Int) -> Bool { (0..<3).contains { _ in isHeld(after: count) } }
    var first = 1
    while !isHeldOnce(after: first) { first += 1 }
    var last = first
    while isHeldOnce(after: last + 16) { last += 16 }
    let holding = (first + last) / 2
    waitUntil("it sleeps") { PipeScenarios.state(of: sleeper.process) == "S" }
    var recoveries = 0
    var together = 0
    let deaths = sweep(rig, sleeper) {
      rig.put()
    } before: {
      recoveries = rig.recoveries
      _ = step(holding) { rig.put() }
    } afterwards: {
      rig.put()
      waitUntil("all is taken") { rig.count == 0 }
      if rig.recoveries - recoveries > 1 { together += 1 }
    }
    print("\(deaths) times two deaths, \(together) times both with the mutex (\(first) to \(last))")
    check(together > 3, "the second one died without the mutex")
    sleeper.end()
  }

  /// Kills processes on their way through `action`, and answers how many.
  private static func sweep(
    _ rig: Rig, _ sleeper: Forked, _ action: () -> Void, before: (() -> Void)? = nil,
    afterwards: () -> Void
  ) -> Int {
    var count = Int.random(in: 0..<fewInstructions)
    var killed = 0
    // Where the mutex may be held.
    var close = 0..<0
    while true {
      waitUntil("it sleeps") { PipeScenarios.state(of: sleeper.process) == "S" }
      before?()
      let recoveries = rig.recoveries
      let status = step(count, action)
      afterwards()
      if let status {
        check(status, equals: 0)
        return killed
      }
      killed += 1
      if rig.recoveries > recoveries + (before == nil ? 0 : 1) {
        let begin = close.isEmpty ? max(count - fewInstructions, 0) : close.lowerBound
        if close.isEmpty { count = begin }
        close = begin..<count + fewInstructions
      }
      count += close.contains(count) ? 2 : fewInstructions
    }
  }

  /// Has a new process do `count` instructions of `action`, and kills it. Answers its wait status
  /// if it has come to its end by then.
  private static func step(_ count: Int, _ action: () -> Void) -> Int32? {
    let victim = Forked {
      check(trace(Request.traceMe, 0) == 0, "ptrace: \(errno)")
      raise(SIGSTOP)
      action()
      _exit(0)
    }
    var status: Int32 = 0
    check(waitpid(victim.process, &status, 0), equals: victim.process)
    for _ in 0..<count {
      check(status & 0x7F == 0x7F, "it ended by itself: \(status)")
      check(trace(Request.singleStep, victim.process) == 0, "ptrace: \(errno)")
      check(waitpid(victim.process, &status, 0), equals: victim.process)
      if status & 0x7F != 0x7F {
        victim.wait()
        return status
      }
    }
    victim.end()
    return nil
  }

  private enum Request {
    static let traceMe = 0
    static let singleStep = 9
  }

  /// ptrace(2), which Swift cannot call by its name because it takes any number of arguments.
  private static func trace(_ request: Int, _ process: Int32) -> Int {
    typealias Function = @convention(c) (Int, Int32, Int, Int) -> Int
    return unsafeBitCast(dlsym(nil, "ptrace"), to: Function.self)(request, process, 0, 0)
  }

  /// A queue without Swift around it, so that most instructions are its own.
  private struct Rig {
    let queue: OpaquePointer
    let descriptor: Int32

    init(capacity: UInt64) {
      var descriptor: Int32 = -1
      guard let queue = lido_queue_create(capacity, &descriptor) else { fail("no queue: \(errno)") }
      self.queue = queue
      self.descriptor = descriptor
    }

    var count: Int { Int(lido_queue_count(queue).items) }
    var recoveries: Int { Int(lido_queue_count(queue).recoveries) }

    func put() {
      var item: UInt64 = 0x0123_4567_89AB_CDEF
      var ticket: UInt32 = 0
      while true {
        let result = lido_queue_put(queue, descriptor, &item, 8, .max, 1, &ticket)
        if result == 0 { return }
        check(result, equals: EAGAIN)
        lido_queue_wait(queue, LIDO_QUEUE_PLACES, ticket, .max)
      }
    }

    func get() {
      var (buffer, length, ticket) = ((UInt64(0), UInt64(0)), 0, UInt32(0))
      var large: UnsafeMutableRawPointer?
      while true {
        let result = lido_queue_get(
          queue, descriptor, &buffer, 16, &large, &length, .max, 1, &ticket)
        if result == 0 { break }
        check(result, equals: EAGAIN)
        lido_queue_wait(queue, LIDO_QUEUE_ITEMS, ticket, .max)
      }
      check(length == 8 && large == nil && buffer.1 == 0x0123_4567_89AB_CDEF, "a broken item")
    }
  }
}
