import DequeModule
import JobCore
import Reactor

/// The maps whose items are arriving. There may be thousands of clients that send nothing: a turn
/// looks only at those inputs of which there is news, and at those whose time has come.
struct MapInputs {
  /// What is kept of an input for this.
  struct Place {
    /// Its place in the order in which they came; 0 before.
    fileprivate var number = 0
    fileprivate var isDue = false
    fileprivate var isEnded = false
    fileprivate var isWaiting = false
    fileprivate var flush: TimerQueue<MapInput>.Handle?
  }

  private var all: [Int: MapInput] = [:]
  private var byMap: [MapNumber: MapInput] = [:]
  private var lastNumber = 0
  /// Those to look at.
  private var due: [MapInput] = []
  /// Those whose map takes no more items.
  private var ended: [MapInput] = []
  /// Those that wait until there is room for another job, whoever brings it.
  private var waiting: Deque<MapInput> = []
  /// Those with a chunk that is handed on at a moment, whatever it has.
  private var flushes = TimerQueue<MapInput>()

  /// Whether nobody sends items.
  var isEmpty: Bool { all.isEmpty }

  /// The one that came first.
  var first: MapInput? { all.keys.min().flatMap { all[$0] } }

  /// The input of a map.
  subscript(map: MapNumber) -> MapInput? { byMap.isEmpty ? nil : byMap[map] }

  /// Whether there is something to look at now.
  var hasNews: Bool { !due.isEmpty || !ended.isEmpty }

  /// Whether some wait for room.
  var areSomeWaiting: Bool { !waiting.isEmpty }

  /// When the next chunk is to be handed on, in monotonic nanoseconds.
  var nextFlush: UInt64? { flushes.nextDeadline }

  /// Takes in an input that has no map yet.
  mutating func add(_ input: MapInput) {
    lastNumber += 1
    input.place.number = lastNumber
    all[lastNumber] = input
  }

  /// The map of an input is there.
  mutating func open(_ input: MapInput, _ map: MapNumber) {
    guard all[input.place.number] != nil else { return }
    byMap[map] = input
    mark(input)
  }

  /// An input is to be looked at: something came, or it may have room.
  mutating func mark(_ input: MapInput) {
    guard !input.place.isDue else { return }
    input.place.isDue = true
    due.append(input)
  }

  /// All are to be looked at.
  mutating func markAll() {
    for number in all.keys.sorted() { all[number].map { mark($0) } }
  }

  /// The map of an input takes no more items.
  mutating func markEnded(_ input: MapInput) {
    guard !input.place.isEnded else { return }
    input.place.isEnded = true
    ended.append(input)
  }

  /// The maps of all inputs are to be looked at.
  mutating func markAllEnded() {
    for number in all.keys.sorted() { all[number].map { markEnded($0) } }
  }

  /// Those to look at, with those whose moment has come; each of them is marked no more.
  mutating func takeDue(at now: UInt64) -> [MapInput] {
    while let input = flushes.popExpired(at: now) {
      input.place.flush = nil
      mark(input)
    }
    defer { due = [] }
    for input in due { input.place.isDue = false }
    return due
  }

  /// Those that were marked as ended; none of them is any more.
  mutating func takeEnded() -> [MapInput] {
    defer { ended = [] }
    for input in ended { input.place.isEnded = false }
    return ended
  }

  /// Lets an input wait for room, behind those that wait already.
  mutating func wait(_ input: MapInput) {
    guard !input.place.isWaiting else { return }
    input.place.isWaiting = true
    waiting.append(input)
  }

  /// The one that has waited for longest.
  mutating func popWaiting() -> MapInput? {
    let input = waiting.popFirst()
    input?.place.isWaiting = false
    return input
  }

  /// Keeps the moment of an input that was looked at; or lets go of it, if it is over.
  mutating func settle(_ input: MapInput) {
    if let flush = input.place.flush.take() { flushes.cancel(flush) }
    if !input.isOver {
      if let flushAt = input.flushAt {
        input.place.flush = flushes.schedule(input, at: flushAt.nanoseconds)
      }
      return
    }
    all[input.place.number] = nil
    if let map = input.map { byMap[map] = nil }
  }
}
