public import DequeModule

/// A map's place in the order of submission: maps and jobs are numbered together, so that a number
/// names one thing.
public typealias MapNumber = JobNumber

/// Where the items of a chunk stand among those of its map.
public struct ChunkPlace: Equatable, Sendable {
  /// The map.
  public let map: MapNumber
  /// The index of the first item.
  public let first: Int
  /// How many items the chunk has, from 1.
  public let count: Int

  /// Names a place.
  public init(map: MapNumber, first: Int, count: Int) {
    self.map = map
    self.first = first
    self.count = count
  }
}

/// Items by what has become of them.
public struct ItemCounts: Equatable, Sendable {
  /// They wait.
  public var queued = 0
  /// Their chunk runs.
  public var running = 0
  /// They have a value.
  public var succeeded = 0
  /// They have an error.
  public var failed = 0
  /// They were never run: one before them failed, or their chunk was cancelled.
  public var skipped = 0

  /// None.
  public init() {}

  /// Those that nothing more happens to.
  public var done: Int { succeeded + failed + skipped }

  /// All of them.
  public var all: Int { queued + running + done }

  static func += (counts: inout ItemCounts, more: ItemCounts) {
    counts.queued += more.queued
    counts.running += more.running
    counts.succeeded += more.succeeded
    counts.failed += more.failed
    counts.skipped += more.skipped
  }

  static func -= (counts: inout ItemCounts, fewer: ItemCounts) {
    counts.queued -= fewer.queued
    counts.running -= fewer.running
    counts.succeeded -= fewer.succeeded
    counts.failed -= fewer.failed
    counts.skipped -= fewer.skipped
  }
}

/// Why the items of a map are not all that its client wanted to send.
public struct InputError: Equatable, Sendable {
  /// The reasons; the words are stable.
  public enum Code: String, CaseIterable, Sendable {
    /// A line is not JSON, or too long.
    case invalidItem = "invalid_item"
    /// The client left, or was cut, before the end of its body.
    case brokenOff = "broken_off"
    /// The map was cancelled.
    case cancelled
    /// The service ended while items came.
    case interrupted
    /// The pool was terminated.
    case poolTerminated = "pool_terminated"
  }

  /// Why, in one stable word.
  public var code: Code
  /// A sentence for people.
  public var message: String

  /// Makes an error.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }
}

/// The error of a chunk, without the values of the items before it.
public struct ChunkError: Equatable, Sendable {
  /// The error; its `item` counts within the chunk.
  public var error: JobError
  /// The index of the chunk's first item.
  public var first: Int

  /// Takes the error of the chunk that begins at an item.
  public init(_ error: JobError, first: Int) {
    self.error = error
    self.error.values = nil
    self.first = first
  }

  /// The index of the item that failed; of the first one if nobody knows which it was.
  public var item: Int { first + (error.item ?? 0) }
}

/// How far a map is, as the rules of its records see it.
public enum MapStage: String, CaseIterable, Sendable {
  /// Items may still come.
  case taking
  /// All items are there, and not all chunks are final.
  case taken
  /// All items are there, and all chunks are final.
  case final
}

/// What a record does to a map: one per kind of record that is about one.
public enum MapMove: String, CaseIterable, Sendable {
  /// A chunk comes.
  case chunkSubmitted
  /// No more items come.
  case inputEnded
  /// Its chunks are to end.
  case cancelRequested
  /// A chunk that a reader has taken is dropped.
  case chunkReleased
  /// It is dropped with all its chunks.
  case forgotten
  /// The same, as nobody was told of it.
  case withdrawn
}

extension MapStage {
  /// Every legal move; a pair that is not here cannot happen. A test walks all pairs.
  public static let moves: [(from: MapStage, move: MapMove)] = [
    (.taking, .chunkSubmitted),
    (.taking, .inputEnded),
    (.taking, .cancelRequested),
    (.taken, .cancelRequested),
    (.taking, .chunkReleased),
    (.taken, .chunkReleased),
    (.final, .forgotten),
    (.taking, .withdrawn),
    (.taken, .withdrawn),
    (.final, .withdrawn),
  ]

  /// Whether a map in this stage can be moved so.
  func allows(_ move: MapMove) -> Bool {
    MapStage.moves.contains { $0.from == self && $0.move == move }
  }
}

/// One submitted call of a task over many items, cut into chunks, each of which is a job.
///
/// What it counts follows from the records of its chunks; what is durable of its own is what the
/// client gave, the end of its input, and what is left of the chunks that were released.
public struct JobMap: Equatable, Sendable {
  /// A chunk in one of the two orders: its job, and how many items come before it in that order.
  public struct Place: Equatable, Sendable {
    /// The chunk's job; it may have been released.
    public let job: JobNumber
    /// Items before it in this order.
    public let first: Int
    /// Its items.
    public let count: Int

    /// Items before the next chunk in this order.
    public var end: Int { first + count }
  }

  // What the client gave.
  /// Its place in the order of submission.
  public let number: MapNumber
  /// Its name in URLs.
  public let id: JobID
  /// The task's name, interned.
  public let task: Name
  /// The pool's name, interned.
  public let pool: Name
  /// What each chunk's job is given, and the map's own key; nil: all defaults.
  public let options: JobOptions?
  /// Whether each item is an array of arguments.
  public let isStar: Bool
  /// Items of a chunk at most; 0 for a map without items.
  public let chunkSize: Int
  /// How many items it has, if that was known at once; nil: they came one after the other.
  public let statedTotal: Int?
  /// When it was accepted.
  public let createdAt: Timestamp

  // What the service knows.
  /// When the last item had come; 0 before.
  public internal(set) var inputEndedAt: Timestamp = 0
  /// Why items are missing.
  public internal(set) var inputError: InputError?
  /// Whether its chunks are to end.
  public internal(set) var isCancelRequested = false
  /// When it became final; 0 before.
  public internal(set) var finishedAt: Timestamp = 0
  /// Grows by one with every change that a client can see.
  public internal(set) var version: UInt32 = 1
  /// What has become of the items of chunks that were released.
  public internal(set) var releasedItems = ItemCounts()
  /// How many chunks were released.
  public internal(set) var releasedChunks = 0
  /// The error of the chunk that failed first, if that was released.
  public internal(set) var releasedError: ChunkError?

  // What follows from its chunks.
  /// What has become of its items.
  public internal(set) var items = ItemCounts()
  /// How many chunks it has had.
  public internal(set) var chunkCount = 0
  /// Its chunks that are not final.
  public internal(set) var openChunks = 0
  /// Bytes that open chunks brought.
  public internal(set) var openBytes = 0
  /// Bytes that ended chunks hold.
  public internal(set) var endedBytes = 0
  /// The chunk that failed first, while it is held.
  var firstFailed: JobNumber?
  /// Its chunks in the order of input, without those that were released before the first held one.
  public internal(set) var chunks: Deque<Place> = []
  /// Its ended chunks in the order in which they ended, likewise.
  public internal(set) var ended: Deque<Place> = []

  /// Makes a map as it is when it has just been accepted.
  init(_ created: MapCreated, task: Name, pool: Name) {
    number = created.number
    id = created.id
    self.task = task
    self.pool = pool
    options = created.options
    isStar = created.isStar
    chunkSize = created.chunkSize
    statedTotal = created.total
    createdAt = created.at
  }

  /// How far it is.
  public var stage: MapStage {
    if inputEndedAt == 0 { return .taking }
    return finishedAt == 0 ? .taken : .final
  }

  /// Its state in the words of jobs.
  public var state: JobState {
    if stage == .final {
      if isCancelRequested { return .cancelled }
      return items.failed + items.skipped > 0 || inputError != nil ? .failed : .succeeded
    }
    return items.running + items.done > 0 ? .running : .queued
  }

  /// How many items it has; nil while they come.
  public var total: Int? { stage == .taking ? statedTotal : items.all }

  /// Its options, spelt out.
  public var effectiveOptions: JobOptions { options ?? .defaults }

  /// Bytes that it holds of its own.
  var ownBytes: Int {
    (options?.bytes ?? 0) + (inputError?.message.utf8.count ?? 0)
      + (releasedError?.error.bytes ?? 0)
  }

  /// Bytes that retention counts once it is final: its own, and those of its chunks.
  public var retainedBytes: Int { ownBytes + endedBytes }

  /// What a chunk costs beside its texts, as the bound of a map whose items come one after the
  /// other counts it.
  public static let chunkOverhead = 512

  /// Bytes that its held chunks cost, as that bound counts them.
  public var heldBytes: Int {
    openBytes + endedBytes + (chunkCount - releasedChunks) * JobMap.chunkOverhead
  }

  /// The place in `places` of the chunk that holds the item with this index in their order; nil: it
  /// was released, or is not there yet.
  public static func index(ofItem item: Int, in places: Deque<Place>) -> Int? {
    let index = count(before: item, in: places)
    guard index < places.count, places[index].first <= item else { return nil }
    return index
  }

  /// How many of `places` end before the item with this index in their order.
  static func count(before item: Int, in places: Deque<Place>) -> Int {
    var (low, high) = (0, places.count)
    while low < high {
      let middle = (low + high) / 2
      if places[middle].end <= item { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The map as it was when all its items had come and nothing had happened to them.
  public var asAccepted: JobMap {
    var map = self
    map.items = ItemCounts()
    map.items.queued = items.all
    map.isCancelRequested = false
    map.finishedAt = 0
    map.version = 1
    return map
  }

  /// The map as what is looked at most of a job.
  public var brief: JobBrief {
    JobBrief(
      task: task, pool: pool, state: state, version: version, createdAt: createdAt, startedAt: 0)
  }
}

extension Job {
  /// What has become of the items of a chunk; none for another job.
  ///
  /// Where an error names no item, nobody knows how far the chunk came: then all of them failed.
  public var itemCounts: ItemCounts {
    var counts = ItemCounts()
    guard let chunk = options?.chunk else { return counts }
    switch state {
    case .scheduled, .queued: counts.queued = chunk.count
    case .running: counts.running = chunk.count
    case .succeeded: counts.succeeded = chunk.count
    case .cancelled: counts.skipped = chunk.count
    case .failed:
      if case .error(let error) = ending, let item = error.item, item < chunk.count {
        counts.succeeded = item
        counts.failed = 1
        counts.skipped = chunk.count - item - 1
      } else {
        counts.failed = chunk.count
      }
    }
    return counts
  }
}
