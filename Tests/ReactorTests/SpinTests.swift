import Glibc
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1)))
struct SpinTests {
  private let reactor: Reactor
  private let pipe = Pipe()

  init() throws {
    reactor = try Reactor()
    try reactor.watch(pipe.reader, for: .readable) { _ in }
  }

  @Test(arguments: [0, 1, Reactor.spinMax - 1])
  func `A wait after a short one spins, once however often it looks`(before: UInt64) {
    reactor.lastWait = before
    pipe.send()
    #expect(reactor.wait(until: nil, maySpin: true) == 1)
    #expect(reactor.spins == 1)
  }

  @Test(arguments: [Reactor.spinMax, Reactor.spinMax + 1, .max])
  func `A wait after a long one does not spin`(before: UInt64) {
    reactor.lastWait = before
    pipe.send()
    #expect(reactor.wait(until: nil, maySpin: true) == 1)
    #expect(reactor.spins == 0)
  }

  @Test func `Nobody has waited before the first wait`() {
    pipe.send()
    #expect(reactor.wait(until: nil, maySpin: true) == 1)
    #expect(reactor.spins == 0)
  }

  @Test func `A yield that takes longer than a spin may is not tried again for a second`() {
    reactor.noteYield(from: 50, to: 49 + Reactor.spinMax)
    #expect(reactor.yieldsAgainAt == 0)
    reactor.noteYield(from: 50, to: 50 + Reactor.spinMax)
    #expect(reactor.yieldsAgainAt == 50 + Reactor.spinMax + 1_000_000_000)
  }

  @Test func `Without a CPU to spare nothing spins, and nothing is learnt`() {
    reactor.lastWait = 5
    pipe.send()
    #expect(reactor.wait(until: nil, maySpin: false) == 1)
    #expect(reactor.spins == 0)
    #expect(reactor.lastWait == 5)
  }

  @Test func `How long a wait took is what its caller saw, or less`() {
    pipe.send()
    let start = SystemClock.monotonicNanoseconds
    #expect(reactor.wait(until: nil, maySpin: true) == 1)
    #expect(reactor.lastWait <= SystemClock.monotonicNanoseconds - start)
  }

  @Test func `A long wait in vain is remembered as long`() {
    reactor.lastWait = 0
    // A machine that pauses may leave nothing of the first distances.
    for doublings in 0..<12 as Range<UInt64> where reactor.lastWait < Reactor.spinMax {
      let deadline = SystemClock.monotonicNanoseconds + Reactor.spinMax * 10 << doublings
      #expect(reactor.wait(until: deadline, maySpin: true) == 0)
    }
    #expect(reactor.lastWait >= Reactor.spinMax)
  }

  @Test(arguments: [0, .max], [Reactor.spinMax / 2, Reactor.spinMax * 20])
  func `A wait in vain, spinning or not, ends at its deadline and not before`(
    before: UInt64, distance: UInt64
  ) {
    reactor.lastWait = before
    let deadline = SystemClock.monotonicNanoseconds + distance
    #expect(reactor.wait(until: deadline, maySpin: true) == 0)
    #expect(SystemClock.monotonicNanoseconds >= deadline)
    #expect(reactor.spins <= (before == 0 ? 1 : 0))
  }

  @Test(arguments: [0, 5, UInt64.max])
  func `A deadline that has passed only looks`(before: UInt64) {
    reactor.lastWait = before
    #expect(reactor.wait(until: 0, maySpin: true) == 0)
    pipe.send()
    #expect(reactor.wait(until: SystemClock.monotonicNanoseconds, maySpin: true) == 1)
    #expect(reactor.lastWait == before, "it says nothing about how long waits take")
    #expect(reactor.spins == 0)
  }
}
