import Glibc
import Reactor
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ReactorTests {
  @Test func `An action is called once per wait while its descriptor is ready`() throws {
    let reactor = try Reactor()
    let pipe = Pipe()
    var seen: [Readiness] = []
    try reactor.watch(pipe.reader, for: .readable) { seen.append($0) }
    #expect(reactor.collect(until: 0) == 0)
    pipe.send()
    #expect(reactor.collect(until: nil) == 1)
    #expect(reactor.collect(until: nil) == 1)
    #expect(seen == [.readable, .readable])
    #expect(pipe.receive() == 1)
    #expect(reactor.collect(until: 0) == 0)
    #expect(seen.count == 2)
  }

  @Test func `Actions run by precedence, then in the order of becoming ready`() throws {
    let reactor = try Reactor()
    let pipes = (0..<6).map { _ in Pipe() }
    let places: [Precedence] = [.late, .middle, .early, .late, .middle, .early]
    var order: [Int] = []
    for (index, place) in places.enumerated() {
      try reactor.watch(pipes[index].reader, for: .readable, precedence: place) { _ in
        order.append(index)
      }
    }
    for index in [3, 0, 4, 1, 5, 2] { pipes[index].send() }
    #expect(reactor.collect(until: nil) == 6)
    #expect(order == [5, 2, 4, 1, 3, 0])
  }

  @Test func `A server can put steps of its own between two precedences`() throws {
    let reactor = try Reactor()
    let (first, last) = (Pipe(), Pipe())
    var order: [String] = []
    try reactor.watch(last.reader, for: .readable, precedence: .late) { _ in order.append("late") }
    try reactor.watch(first.reader, for: .readable, precedence: .early) { _ in
      order.append("early")
    }
    last.send()
    first.send()
    #expect(reactor.wait(until: nil) == 2)
    #expect(reactor.dispatch(.early) == 1)
    order.append("timers")
    #expect(reactor.dispatch(.late) == 1)
    #expect(order == ["early", "timers", "late"])
    // Each event is delivered once, however often its precedence is dispatched.
    #expect(reactor.dispatch(.early) == 0)
    #expect(reactor.dispatch(.late) == 0)
  }

  @Test func `An event left undispatched is reported by the next wait`() throws {
    let reactor = try Reactor()
    let pipe = Pipe()
    var calls = 0
    try reactor.watch(pipe.reader, for: .readable) { _ in calls += 1 }
    pipe.send()
    #expect(reactor.wait(until: nil) == 1)
    #expect(reactor.wait(until: nil) == 1)
    #expect(reactor.dispatch(.middle) == 1)
    #expect(calls == 1)
  }

  @Test func `A batch is bounded, and what does not fit comes next`() throws {
    let reactor = try Reactor(eventsMax: 2)
    let pipes = (0..<5).map { _ in Pipe() }
    var calls = [0, 0, 0, 0, 0]
    for (index, pipe) in pipes.enumerated() {
      try reactor.watch(pipe.reader, for: .readable) { _ in calls[index] += 1 }
      pipe.send()
    }
    // Nobody reads, so all five stay ready: the kernel has to go round.
    for _ in 0..<5 { #expect(reactor.collect(until: nil) == 2) }
    #expect(calls == [2, 2, 2, 2, 2])
  }

  @Test func `An action may end its own watch`() throws {
    let reactor = try Reactor()
    let pipe = Pipe()
    var calls = 0
    try reactor.watch(pipe.reader, for: .readable) { [unowned reactor] _ in
      calls += 1
      reactor.unwatch(pipe.reader)
      pipe.closeReader()
    }
    pipe.send()
    #expect(reactor.watchCount == 1)
    #expect(reactor.collect(until: nil) == 1)
    #expect(reactor.watchCount == 0)
    #expect(reactor.collect(until: 0) == 0)
    #expect(calls == 1)
  }

  @Test func `An action that ends another's watch takes its event away`() throws {
    let reactor = try Reactor()
    let (first, second) = (Pipe(), Pipe())
    var calls: [String] = []
    try reactor.watch(second.reader, for: .readable) { _ in calls.append("second") }
    try reactor.watch(first.reader, for: .readable, precedence: .early) { [unowned reactor] _ in
      calls.append("first")
      reactor.unwatch(second.reader)
    }
    second.send()
    first.send()
    #expect(reactor.collect(until: nil) == 1)
    #expect(calls == ["first"])
    #expect(!reactor.isWatched(second.reader))
  }

  @Test func `A stale event never reaches the next watch of the same number`() throws {
    let reactor = try Reactor()
    let (first, second, next) = (Pipe(), Pipe(), Pipe())
    let number = second.reader
    var calls: [String] = []
    try reactor.watch(number, for: .readable) { _ in calls.append("old") }
    try reactor.watch(first.reader, for: .readable, precedence: .early) { [unowned reactor] _ in
      reactor.unwatch(first.reader)
      reactor.unwatch(number)
      // The number now belongs to another file, which is ready as well.
      #expect(dup2(next.reader, number) == number)
      #expect(throws: Never.self) {
        try reactor.watch(number, for: .readable) { _ in calls.append("new") }
      }
    }
    for pipe in [second, next, first] { pipe.send() }
    #expect(reactor.collect(until: nil) == 1)
    #expect(calls.isEmpty)
    #expect(reactor.collect(until: nil) == 1)
    #expect(calls == ["new"])
    reactor.unwatch(number)
  }

  @Test func `A changed interest holds at once`() throws {
    let reactor = try Reactor()
    let (first, pair) = (Pipe(), Pipe(socketPair: ()))
    var seen: [Readiness] = []
    try reactor.watch(pair.reader, for: [.readable, .writable]) { seen.append($0) }
    try reactor.watch(first.reader, for: .readable, precedence: .early) { [unowned reactor] _ in
      #expect(first.receive() == 1)
      #expect(throws: Never.self) { try reactor.setInterest(.readable, of: pair.reader) }
    }
    pair.send()
    #expect(reactor.collect(until: nil) == 1)
    #expect(seen == [[.readable, .writable]])
    first.send()
    #expect(reactor.collect(until: nil) == 2)
    #expect(seen.last == .readable)
    try reactor.setInterest([], of: pair.reader)
    #expect(reactor.collect(until: 0) == 0)
  }

  @Test func `A peer that closes is reported without reading`() throws {
    let reactor = try Reactor()
    let pair = Pipe(socketPair: ())
    var seen: [Readiness] = []
    try reactor.watch(pair.reader, for: .peerClosed) { seen.append($0) }
    pair.send()
    #expect(reactor.collect(until: 0) == 0)
    #expect(shutdown(pair.writer, Int32(SHUT_WR)) == 0)
    #expect(reactor.collect(until: nil) == 1)
    pair.closeWriter()
    #expect(reactor.collect(until: nil) == 1)
    #expect(seen == [.peerClosed, [.peerClosed, .hungUp]])
  }

  @Test func `Hang-up and failure are reported whatever the interest`() throws {
    let reactor = try Reactor()
    let (unwritten, unread) = (Pipe(), Pipe())
    var seen: [Readiness] = []
    try reactor.watch(unwritten.reader, for: []) { seen.append($0) }
    unwritten.closeWriter()
    #expect(reactor.collect(until: nil) == 1)
    reactor.unwatch(unwritten.reader)
    try reactor.watch(unread.writer, for: []) { seen.append($0) }
    unread.closeReader()
    #expect(reactor.collect(until: nil) == 1)
    #expect(seen == [.hungUp, .failed])
  }

  @Test func `A reactor is itself readable when an action is due`() throws {
    let (outer, inner) = (try Reactor(), try Reactor())
    let pipe = Pipe()
    var calls = 0
    try inner.watch(pipe.reader, for: .readable) { _ in calls += 1 }
    try outer.watch(inner.fileDescriptor, for: .readable) { [unowned inner] _ in
      inner.collect(until: 0)
    }
    #expect(outer.collect(until: 0) == 0)
    pipe.send()
    #expect(outer.collect(until: nil) == 1)
    #expect(calls == 1)
  }

  @Test func `A file that cannot be watched is the environment's error`() throws {
    let reactor = try Reactor()
    let file = open(#filePath, O_RDONLY | O_CLOEXEC)
    defer { close(file) }
    let error = #expect(throws: ReactorError.self) {
      try reactor.watch(file, for: .readable) { _ in }
    }
    #expect(error?.code == EPERM)
    #expect(error?.description.hasPrefix("epoll_ctl: Operation not permitted") == true)
    #expect(!reactor.isWatched(file))
    #expect(reactor.watchCount == 0)
  }

  @Test func `Ending a watch lets go of its action`() throws {
    let reactor = try Reactor()
    let pipe = Pipe()
    weak var kept: Pipe?
    do {
      let captured = Pipe()
      kept = captured
      try reactor.watch(pipe.reader, for: .readable) { _ in captured.send() }
    }
    #expect(kept != nil)
    reactor.unwatch(pipe.reader)
    #expect(kept == nil)
  }

  @Test func `Watching a descriptor twice is a mistake of the program`() async {
    await #expect(processExitsWith: .failure) {
      let reactor = try Reactor()
      let pipe = Pipe()
      try reactor.watch(pipe.reader, for: .readable) { _ in }
      try reactor.watch(pipe.reader, for: .readable) { _ in }
    }
  }

  @Test func `Waiting inside an action is a mistake of the program`() async {
    await #expect(processExitsWith: .failure) {
      let reactor = try Reactor()
      let pipe = Pipe()
      try reactor.watch(pipe.reader, for: .readable) { _ in reactor.collect(until: 0) }
      pipe.send()
      reactor.collect(until: nil)
    }
  }
}
