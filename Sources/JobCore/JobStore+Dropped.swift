public import DequeModule

/// What a dropped map leaves behind.
///
/// A map is dropped by one record, with however many chunks. To take a million jobs out of their
/// tables takes half a second, and nobody is to wait for that: so the record takes the map out and
/// hides all its chunks, which is a bit for each; what they hold is given back in slices by whoever
/// has the time. When that is shows in nothing but memory: two stores are equal if they hold the
/// same.
extension JobStore {
  /// A map that was dropped.
  struct DroppedMap: Sendable {
    let number: MapNumber
    /// Its chunks by input; some may have been released before.
    let chunks: Deque<JobMap.Place>
    /// The first of them that was not given back.
    var next = 0
  }

  /// Whether anything is left of maps that were dropped.
  public var hasDropped: Bool { !dropped.isEmpty }

  /// How many jobs there still are of maps that were dropped.
  public var droppedCount: Int { table.hiddenCount }

  /// How many jobs memory holds: those, and what is held.
  public var residentCount: Int { table.count + table.hiddenCount }

  /// Bytes that they hold.
  public var bytes: Int { openBytes + finishedBytes + droppedBytes }

  /// The chunks of a map that was dropped, as long as not all of them were given back.
  public func chunks(ofDropped number: MapNumber) -> Deque<JobMap.Place>? {
    dropped.last { $0.number == number }?.chunks
  }

  /// Calls `body` for each chunk of a dropped map that was not given back. For tests.
  func forEachDropped(_ body: (JobNumber) -> Void) {
    for map in dropped {
      for place in map.chunks[map.next...] { body(place.job) }
    }
  }

  /// Lets go of the chunks of a map that is dropped.
  mutating func dropChunks(of map: JobMap) {
    guard map.chunkCount > map.releasedChunks else { return }
    table.hide(map.chunks.lazy.map { $0.job })
    droppedBytes += map.openBytes + map.endedBytes
    dropped.append(DroppedMap(number: map.number, chunks: map.chunks))
  }

  /// Gives back what some chunks of dropped maps hold, and answers which of these were not final
  /// when their map was dropped.
  ///
  /// - Parameters:
  ///   - budget: how many chunks at most.
  ///   - bytesMax: the bytes after which it ends, as large ones cost time as well.
  @discardableResult
  public mutating func giveBackDropped(
    atMost budget: Int = .max, bytesMax: Int = .max
  ) -> [JobNumber] {
    var open: [JobNumber] = []
    var (budget, bytes) = (budget, 0)
    while budget > 0, bytes < bytesMax, let map = dropped.first {
      guard map.next < map.chunks.count else {
        dropped.removeFirst()
        continue
      }
      dropped[0].next += 1
      budget -= 1
      guard let job = table.removeHidden(map.chunks[map.next].job) else { continue }
      removeID(of: job)
      let held = job.state.isFinal ? job.retainedBytes : job.submittedBytes
      bytes += held
      droppedBytes -= held
      if !job.state.isFinal { open.append(job.number) }
    }
    return open
  }
}
