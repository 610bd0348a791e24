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

  @Test func `What is there already is found at once and makes the next wait spin`() {
    pipe.send()
    #expect(reactor.wait(until: nil, maySpin: true) == 1)
    #expect(reactor.lastWait < Reactor.spinMax)
    #expect(pipe.receive() == 1)
    pipe.send()
    #expect(reactor.wait(until: nil, maySpin: true) == 1)
  }

  @Test func `A wait in vain, spinning or not, ends at its deadline and not before`() {
    pipe.send()
    reactor.wait(until: nil, maySpin: true)
    #expect(pipe.receive() == 1)
    for distance in [Reactor.spinMax / 2, Reactor.spinMax * 20] {
      let deadline = SystemClock.monotonicNanoseconds + distance
      #expect(reactor.wait(until: deadline, maySpin: true) == 0)
      #expect(SystemClock.monotonicNanoseconds >= deadline)
    }
    #expect(reactor.lastWait >= Reactor.spinMax, "so the next one sleeps at once")
  }

  @Test func `A deadline that has passed only looks`() {
    #expect(reactor.wait(until: 0, maySpin: true) == 0)
    #expect(reactor.lastWait == .max, "it says nothing about how long waits take")
    pipe.send()
    #expect(reactor.wait(until: 0, maySpin: true) == 1)
  }
}
