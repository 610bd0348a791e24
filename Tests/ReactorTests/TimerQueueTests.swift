import Reactor
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1)))
struct TimerQueueTests {
  @Test func `Timers expire by deadline, equal ones in the order of scheduling`() {
    var queue = TimerQueue<String>()
    #expect(queue.nextDeadline == nil)
    #expect(queue.popExpired(at: .max) == nil)
    queue.schedule("c", at: 20)
    queue.schedule("a", at: 10)
    queue.schedule("d", at: 20)
    queue.schedule("b", at: 10)
    #expect(queue.count == 4)
    #expect(queue.nextDeadline == 10)
    #expect(queue.popExpired(at: 9) == nil)
    #expect(drain(&queue, at: 10) == ["a", "b"])
    #expect(queue.nextDeadline == 20)
    #expect(drain(&queue, at: .max) == ["c", "d"])
    #expect(queue.isEmpty)
  }

  @Test func `A cancelled timer neither expires nor wakes anybody`() {
    var queue = TimerQueue<String>()
    let first = queue.schedule("first", at: 10)
    queue.schedule("second", at: 20)
    #expect(queue.cancel(first) == "first")
    #expect(queue.cancel(first) == nil)
    #expect(queue.nextDeadline == 20)
    #expect(queue.count == 1)
    #expect(drain(&queue, at: .max) == ["second"])
  }

  @Test func `A handle that was kept too long finds nothing`() {
    var queue = TimerQueue<String>()
    let expired = queue.schedule("expired", at: 1)
    #expect(drain(&queue, at: 1) == ["expired"])
    let next = queue.schedule("next", at: 2)
    #expect(queue.cancel(expired) == nil)
    #expect(queue[expired] == nil)
    #expect(queue.cancel(next) == "next")
  }

  @Test func `A copy goes its own way`() {
    var queue = TimerQueue<String>()
    let handle = queue.schedule("one", at: 1)
    var copy = queue
    #expect(copy.cancel(handle) == "one")
    #expect(queue.nextDeadline == 1)
    #expect(queue.cancel(handle) == "one")
  }

  @Test func `A payload is let go of when its timer ends`() {
    final class Payload {}
    var queue = TimerQueue<Payload>()
    weak var cancelled: Payload?
    weak var expired: Payload?
    do {
      let (first, second) = (Payload(), Payload())
      (cancelled, expired) = (first, second)
      let handle = queue.schedule(first, at: 1)
      queue.schedule(second, at: 2)
      queue.cancel(handle)
      #expect(queue.popExpired(at: 2) === second)
    }
    #expect(cancelled == nil)
    #expect(expired == nil)
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func `It does what a sorted list does`(seed: UInt64) {
    var random = SplitMix(seed: seed)
    var queue = TimerQueue<Int>()
    var model = SortedTimers()
    var handles: [TimerQueue<Int>.Handle] = []
    // Few different deadlines, so that many are equal; long runs of each kind of step, so that
    // the queue grows large and runs empty.
    for step in 0..<4000 {
      let growing = (step / 500).isMultiple(of: 2)
      let deadline = UInt64.random(in: 0..<50, using: &random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<(growing ? 6 : 2):
        handles.append(queue.schedule(handles.count, at: deadline))
        model.schedule(handles.count - 1, at: deadline)
      case 6, 7, 8:
        guard let payload = handles.indices.randomElement(using: &random) else { break }
        #expect(queue.cancel(handles[payload]) == model.cancel(payload))
      default:
        #expect(queue.popExpired(at: deadline) == model.popExpired(at: deadline))
      }
      #expect(queue.nextDeadline == model.timers.first?.deadline)
      #expect(queue.count == model.timers.count)
    }
    while let payload = model.popExpired(at: .max) {
      #expect(queue.popExpired(at: .max) == payload)
    }
    #expect(queue.isEmpty)
  }

  private func drain<Payload>(_ queue: inout TimerQueue<Payload>, at now: UInt64) -> [Payload] {
    var expired: [Payload] = []
    while let payload = queue.popExpired(at: now) { expired.append(payload) }
    return expired
  }
}

/// What the queue has to do, in the plainest way: a list that is always in order.
private struct SortedTimers {
  private(set) var timers: [(deadline: UInt64, payload: Int)] = []

  mutating func schedule(_ payload: Int, at deadline: UInt64) {
    let place = timers.firstIndex { $0.deadline > deadline } ?? timers.count
    timers.insert((deadline, payload), at: place)
  }

  mutating func cancel(_ payload: Int) -> Int? {
    guard let place = timers.firstIndex(where: { $0.payload == payload }) else { return nil }
    return timers.remove(at: place).payload
  }

  mutating func popExpired(at now: UInt64) -> Int? {
    guard let first = timers.first, first.deadline <= now else { return nil }
    return timers.removeFirst().payload
  }
}
