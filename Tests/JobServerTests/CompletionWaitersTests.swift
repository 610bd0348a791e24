import HTTPServer
import JobCore
import Testing

@testable import JobServer

/// Each waiter comes out once: served, expired, removed, or at the end.
@Suite struct CompletionWaitersTests {
  private var waiters = CompletionWaiters()
  /// Each response with what removes its waiter.
  private var added: [(response: PendingResponse, handle: CompletionWaiters.Handle)] = []

  /// Adds a waiter and answers its place in `added`.
  private mutating func add(
    _ pool: String = "a", told: FeedPlace = 0, until deadline: UInt64 = 100
  ) -> Int {
    let response = PendingResponse()
    let wish = CompletionWish(pool: pool, after: told, limit: 1, preferenceApplied: nil)
    added.append((response, waiters.add(response, wish, told: told, until: deadline)))
    return added.count - 1
  }

  private func places(_ found: [CompletionWaiters.Waiter]) -> [Int] {
    found.map { waiter in added.firstIndex { $0.response === waiter.response } ?? -1 }
  }

  private mutating func served(_ last: [String: FeedPlace]) -> [Int] {
    places(waiters.takeServed { last[$0] ?? 0 })
  }

  @Test mutating func `those of a pool are served when its feed goes on, and no others`() {
    let (first, other, second) = (add(told: 7), add("b", told: 5), add(told: 7))
    #expect(waiters.count == 3)
    #expect(served(["a": 7, "b": 5]) == [])
    #expect(served(["a": 9, "b": 5]) == [first, second])
    #expect(waiters.count == 1 && served(["a": 12, "b": 5]) == [])
    let third = add(told: 12)
    #expect(served(["a": 12, "b": 6]) == [other])
    #expect(served(["a": 0, "b": 6]) == [third], "the pool was made anew")
  }

  @Test mutating func `time takes them out in the order of their deadlines, so many at once`() {
    let (late, early, other) = (add(until: 300), add(until: 100), add("b", until: 200))
    #expect(waiters.nextDeadline == 100 && places(waiters.popExpired(at: 99, atMost: 9)) == [])
    #expect(places(waiters.popExpired(at: 250, atMost: 1)) == [early])
    #expect(places(waiters.popExpired(at: 250, atMost: 9)) == [other])
    #expect(waiters.nextDeadline == 300 && served(["a": 1, "b": 1]) == [late])
  }

  @Test mutating func `one whose client left is not served, and leaves nothing behind`() {
    let stays = add()
    for _ in 0..<1_000 {
      let place = add()
      #expect(waiters.remove(added[place].handle)?.response === added[place].response)
      #expect(waiters.remove(added[place].handle)?.response == nil)
    }
    #expect(waiters.count == 1)
    #expect(served(["a": 1]) == [stays] && waiters.nextDeadline == nil)
  }

  @Test mutating func `all of one pool, or all, come out at an end`() {
    let (first, other, second) = (add(), add("b"), add())
    #expect(places(waiters.takeAll(of: "a")) == [first, second])
    #expect(places(waiters.takeAll(of: "a")) == [] && waiters.count == 1)
    let third = add("c")
    #expect(Set(places(waiters.removeAll())) == [other, third])
    #expect(waiters.count == 0 && waiters.nextDeadline == nil && served(["b": 1]) == [])
  }
}
