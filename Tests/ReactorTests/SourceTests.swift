import Glibc
import Reactor
import Testing

@Suite(.timeLimit(.minutes(1)))
struct SystemClockTests {
  @Test func `The monotonic clock never goes back and does move`() {
    let start = SystemClock.monotonicNanoseconds
    var last = start
    while last == start {
      let now = SystemClock.monotonicNanoseconds
      #expect(now >= last)
      last = now
    }
    #expect(start > 0)
  }

  @Test func `The wall clock is that of time(2), in milliseconds`() {
    let before = Int64(time(nil))
    let wall = SystemClock.wallMilliseconds
    // time(2) reads a coarser clock, which may be a little behind the fine one.
    #expect(wall >= before * 1000)
    #expect(wall <= (Int64(time(nil)) + 2) * 1000)
  }
}

/// Signals are sent to the test's own thread with raise(3): it alone blocks them.
@Suite(.serialized, .timeLimit(.minutes(1)))
struct SignalSourceTests {
  init() {
    unblockSignals(SIGUSR1, SIGUSR2)
  }

  @Test func `A signal is read instead of ending the process`() throws {
    let reactor = try Reactor()
    let source = try SignalSource([SIGUSR1, SIGUSR2])
    var arrived: [Int32] = []
    try reactor.watch(source.fileDescriptor, for: .readable) { _ in arrived += source.drain() }
    #expect(source.drain() == [])
    #expect(reactor.collect(until: 0) == 0)
    raise(SIGUSR2)
    raise(SIGUSR1)
    #expect(reactor.collect(until: nil) == 1)
    #expect(arrived == [SIGUSR1, SIGUSR2])
    #expect(reactor.collect(until: 0) == 0)
  }

  @Test func `The same signal twice before a drain is one`() throws {
    let source = try SignalSource([SIGUSR1])
    raise(SIGUSR1)
    raise(SIGUSR1)
    #expect(source.drain() == [SIGUSR1])
    raise(SIGUSR1)
    #expect(source.drain() == [SIGUSR1])
  }

  @Test func `Its signals, and no others, stay blocked when it is gone`() throws {
    do { _ = try SignalSource([SIGUSR1]) }
    var blocked = sigset_t()
    sigprocmask(SIG_BLOCK, nil, &blocked)
    #expect(sigismember(&blocked, SIGUSR1) == 1)
    #expect(sigismember(&blocked, SIGUSR2) == 0)
  }
}

/// Lets this thread be interrupted: those that run the tests block every signal.
func unblockSignals(_ signals: Int32...) {
  var set = sigset_t()
  sigemptyset(&set)
  for signal in signals { sigaddset(&set, signal) }
  sigprocmask(SIG_UNBLOCK, &set, nil)
}
