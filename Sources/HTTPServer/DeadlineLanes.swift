/// What a connection has to do in time. A connection waits in at most one lane.
enum Lane: Int, CaseIterable {
  /// The headers are not complete after a while: has the client gone?
  case headerLook
  /// The headers must be complete.
  case header
  /// The same for the body.
  case bodyLook
  /// The body must be complete.
  case body
  /// The next request must begin.
  case idle
  /// An owed answer is worth a watch on its client.
  case watch
  /// The client must have taken some of its answer.
  case write
}

/// The deadlines of all connections, by descriptor. All who wait in a lane wait equally long, so a
/// lane is a list in order of arrival, and to enter, to leave and to find the earliest cost the
/// same whether there are ten connections or ten thousand: a request does four such moves.
struct DeadlineLanes {
  private struct Place {
    var previous: Int32 = -1
    var next: Int32 = -1
    var lane: Lane?
    var due: UInt64 = 0
  }

  private struct Ends {
    var first: Int32 = -1
    var last: Int32 = -1
  }

  private let durations: [UInt64]
  private var ends: [Ends]
  /// Indexed by descriptor: descriptors are small and the kernel gives the lowest free one.
  private var places: [Place] = []

  /// One duration in nanoseconds for each lane, in the order of `Lane`.
  init(durations: [UInt64]) {
    precondition(durations.count == Lane.allCases.count)
    self.durations = durations
    ends = [Ends](repeating: Ends(), count: durations.count)
  }

  /// The earliest deadline of all; `nil` when nobody waits.
  var earliest: UInt64? {
    var earliest: UInt64?
    for end in ends where end.first >= 0 {
      earliest = min(earliest ?? .max, places[Int(end.first)].due)
    }
    return earliest
  }

  /// Who has waited in a lane for longest, and since when; nil when nobody does.
  func first(in lane: Lane) -> (descriptor: Int32, since: UInt64)? {
    let first = ends[lane.rawValue].first
    guard first >= 0 else { return nil }
    return (first, places[Int(first)].due - durations[lane.rawValue])
  }

  /// Puts a descriptor at the end of a lane, out of the one that it was in. In one lane `now` never
  /// goes back.
  mutating func enter(_ lane: Lane, _ descriptor: Int32, at now: UInt64) {
    let index = Int(descriptor)
    if index >= places.count {
      places.append(contentsOf: repeatElement(Place(), count: index + 1 - places.count))
    }
    let (due, hasOverflown) = now.addingReportingOverflow(durations[lane.rawValue])
    places.withUnsafeMutableBufferPointer { places in
      ends.withUnsafeMutableBufferPointer { ends in
        Self.unlink(index, places, ends)
        let last = ends[lane.rawValue].last
        places[index] = Place(
          previous: last, next: -1, lane: lane, due: hasOverflown ? .max : due)
        ends[lane.rawValue].last = descriptor
        if last >= 0 {
          places[Int(last)].next = descriptor
        } else {
          ends[lane.rawValue].first = descriptor
        }
      }
    }
  }

  /// Takes a descriptor out of its lane, if it is in one.
  mutating func leave(_ descriptor: Int32) {
    let index = Int(descriptor)
    guard index < places.count else { return }
    places.withUnsafeMutableBufferPointer { places in
      ends.withUnsafeMutableBufferPointer { ends in Self.unlink(index, places, ends) }
    }
  }

  /// Both lists are asked for once: each access through `self` would ask whether it is shared.
  @inline(__always)
  private static func unlink(
    _ index: Int, _ places: UnsafeMutableBufferPointer<Place>,
    _ ends: UnsafeMutableBufferPointer<Ends>
  ) {
    guard let lane = places[index].lane else { return }
    let (previous, next) = (places[index].previous, places[index].next)
    if previous >= 0 {
      places[Int(previous)].next = next
    } else {
      ends[lane.rawValue].first = next
    }
    if next >= 0 {
      places[Int(next)].previous = previous
    } else {
      ends[lane.rawValue].last = previous
    }
    places[index].lane = nil
  }

  /// Takes out one whose deadline has come, and says when that was; `nil` when there is none
  /// (more).
  mutating func popDue(at now: UInt64) -> (descriptor: Int32, lane: Lane, due: UInt64)? {
    for lane in Lane.allCases {
      let first = ends[lane.rawValue].first
      guard first >= 0, places[Int(first)].due <= now else { continue }
      leave(first)
      return (first, lane, places[Int(first)].due)
    }
    return nil
  }
}
