import Glibc
import Reactor
import Testing

@Suite(.timeLimit(.minutes(1)))
struct EpollTests {
  @Test(arguments: [true, false])
  func `A wait ends at its deadline and not before`(nanosecondWait: Bool) throws {
    var epoll = try Epoll(eventsMax: 1, nanosecondWait: nanosecondWait)
    for microseconds: UInt64 in [1, 300, 999, 1000, 2500] {
      let deadline = SystemClock.monotonicNanoseconds + microseconds * 1000
      let found = epoll.wait(until: deadline)
      #expect(found == 0)
      #expect(SystemClock.monotonicNanoseconds >= deadline)
    }
  }

  @Test(arguments: [true, false])
  func `A deadline farther than the longest wait is kept as well`(nanosecondWait: Bool) throws {
    var epoll = try Epoll(eventsMax: 1, nanosecondWait: nanosecondWait, waitMax: 1_000_000)
    let deadline = SystemClock.monotonicNanoseconds + 4_000_000
    let found = epoll.wait(until: deadline)
    #expect(found == 0)
    #expect(SystemClock.monotonicNanoseconds >= deadline)
  }

  @Test(arguments: [true, false])
  func `A deadline in the past looks without waiting`(nanosecondWait: Bool) throws {
    var epoll = try Epoll(eventsMax: 1, nanosecondWait: nanosecondWait)
    let unready = [epoll.wait(until: 0), epoll.wait(until: SystemClock.monotonicNanoseconds)]
    #expect(unready == [0, 0])
    let pipe = Pipe()
    try epoll.add(.init(fileDescriptor: pipe.reader, generation: 1), for: .readable)
    pipe.send()
    let found = epoll.wait(until: 1)
    #expect(found == 1)
  }

  @Test(arguments: [true, false])
  func `The farthest deadline waits for an event`(nanosecondWait: Bool) throws {
    var epoll = try Epoll(eventsMax: 1, nanosecondWait: nanosecondWait)
    let pipe = Pipe()
    try epoll.add(.init(fileDescriptor: pipe.reader, generation: 1), for: .readable)
    pipe.send()
    let found = epoll.wait(until: .max)
    #expect(found == 1)
  }

  @Test func `A token comes back whole`() throws {
    var epoll = try Epoll(eventsMax: 4)
    let pipes = (0..<3).map { _ in Pipe() }
    let generations: [UInt32] = [0, 1 << 31, .max]
    for (pipe, generation) in zip(pipes, generations) {
      try epoll.add(.init(fileDescriptor: pipe.reader, generation: generation), for: .readable)
      pipe.send()
    }
    let found = epoll.wait(until: nil)
    #expect(found == 3)
    for index in 0..<3 {
      let (token, readiness) = epoll.event(at: index)
      #expect(token.fileDescriptor == pipes[index].reader)
      #expect(token.generation == generations[index])
      #expect(readiness == .readable)
    }
    epoll.clear(at: 1)
    #expect(epoll.event(at: 1).readiness == [])
    #expect(epoll.event(at: 2).readiness == .readable)
  }

  @Test func `The instance does not survive exec`() throws {
    let epoll = try Epoll(eventsMax: 1)
    #expect(fcntl(epoll.fileDescriptor, F_GETFD) == FD_CLOEXEC)
  }

  @Test func `Signals do not end a wait`() throws {
    var epoll = try Epoll(eventsMax: 1)
    let pipe = Pipe()
    try epoll.add(.init(fileDescriptor: pipe.reader, generation: 1), for: .readable)
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in }
    #expect(sigaction(SIGURG, &action, nil) == 0)
    unblockSignals(SIGURG)
    // Another thread interrupts this one a thousand times, and wakes it after that.
    var interruption = Interruption(thread: pthread_self(), descriptor: pipe.writer)
    var thread = pthread_t()
    let found = withUnsafeMutablePointer(to: &interruption) { context in
      #expect(pthread_create(&thread, nil, interrupt, context) == 0)
      let found = epoll.wait(until: nil)
      pthread_join(thread, nil)
      return found
    }
    #expect(found == 1)
    #expect(pipe.receive() == 1)
  }
}

private struct Interruption {
  var thread: pthread_t
  var descriptor: Int32
}

private func interrupt(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let context else { return nil }
  let interruption = context.load(as: Interruption.self)
  for _ in 0..<1000 {
    pthread_kill(interruption.thread, SIGURG)
    sched_yield()
  }
  var one: UInt8 = 1
  write(interruption.descriptor, &one, 1)
  return nil
}
