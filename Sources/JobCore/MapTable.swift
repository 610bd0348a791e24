import DequeModule

/// Maps by number.
struct MapTable: Sendable {
  private var rows: [MapNumber: JobMap] = [:]
  /// Every number of a row, ascending: what is gone through, as a dictionary's order is different
  /// in each process.
  private var order: Deque<MapNumber> = []

  /// How many there are.
  var count: Int { order.count }

  /// The map with a number.
  subscript(number: MapNumber) -> JobMap? { rows[number] }

  /// Whether there is one with this number.
  func contains(_ number: MapNumber) -> Bool { rows[number] != nil }

  /// Adds a map whose number is not held. Numbers grow but for those of a snapshot, which come
  /// nearly in order.
  mutating func insert(_ map: JobMap) {
    precondition(rows[map.number] == nil, "map \(map.number) is held already")
    rows[map.number] = map
    order.insert(map.number, at: place(of: map.number))
  }

  /// Changes a held map in place.
  mutating func update<R>(_ number: MapNumber, _ change: (inout JobMap) -> R) -> R {
    guard rows[number] != nil else { preconditionFailure("map \(number) is not held") }
    return change(&rows[number]!)
  }

  /// Takes a held map out.
  mutating func remove(_ number: MapNumber) {
    guard rows.removeValue(forKey: number) != nil else { return }
    order.remove(at: place(of: number))
  }

  /// Calls `body` for each map by number.
  func forEachAscending(_ body: (JobMap) -> Void) {
    for number in order {
      if let map = rows[number] { body(map) }
    }
  }

  /// Calls `body` for each map below `bound` from the newest down, until it answers false.
  func descend(below bound: MapNumber, while body: (JobMap) -> Bool) {
    var index = place(of: bound)
    while index > 0 {
      index -= 1
      if let map = rows[order[index]], !body(map) { return }
    }
  }

  /// Where a number stands, or would.
  private func place(of number: MapNumber) -> Int {
    var (low, high) = (0, order.count)
    while low < high {
      let middle = (low + high) / 2
      if order[middle] < number { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
