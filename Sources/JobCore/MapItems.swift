/// The items of a map that came as one document: their JSON text, minified, with one comma between
/// two of them, and where each begins. Nothing is allocated for an item.
public struct MapItems: Equatable, Sendable {
  /// The items with their commas.
  public let text: [UInt8]
  /// Where each item begins in it.
  public let starts: ContiguousArray<UInt32>

  /// Takes items that are as they must be.
  public init(text: [UInt8], starts: ContiguousArray<UInt32>) {
    self.text = text
    self.starts = starts
  }

  /// How many there are.
  public var count: Int { starts.count }

  /// Bytes of the longest of the arrays that they make with so many items each; 0 for no items.
  func longestArray(of size: Int) -> Int {
    var longest = 0
    for start in stride(from: 0, to: count, by: max(size, 1)) {
      let end = start + size < count ? Int(starts[start + size]) - 1 : text.count
      longest = max(longest, end - Int(starts[start]) + 2)
    }
    return longest
  }

  /// The JSON array of some of them, one at least.
  public func array(of range: Range<Int>) -> String {
    let start = Int(starts[range.lowerBound])
    let end = range.upperBound < count ? Int(starts[range.upperBound]) - 1 : text.count
    return String(unsafeUninitializedCapacity: end - start + 2) { target in
      target[0] = UInt8(ascii: "[")
      text.withUnsafeBufferPointer { source in
        let piece = UnsafeBufferPointer(rebasing: source[start..<end])
        _ = UnsafeMutableBufferPointer(rebasing: target[1...]).update(from: piece)
      }
      target[end - start + 1] = UInt8(ascii: "]")
      return end - start + 2
    }
  }
}

/// A call of a task over many items, as a client asks for it.
public struct MapSubmission: Equatable, Sendable {
  /// The client's own id; nil: the engine makes one.
  public var id: JobID?
  /// The task's name.
  public var task: String
  /// The pool's name; nil: the one that announced the task.
  public var pool: String?
  /// The items; nil: they come one after the other (`Event.itemsReceived`).
  public var items: MapItems?
  /// Whether each item is an array of arguments.
  public var isStar: Bool
  /// Items of a chunk; nil: by the rule of Python's Pool for a document, at most
  /// `Engine.streamedChunkMax` for items that come one after the other.
  public var chunkSize: Int?
  /// What each chunk's job is given, and the client's key; nil: all defaults.
  public var options: JobOptions?

  /// Makes a submission.
  public init(
    task: String, items: MapItems?, id: JobID? = nil, pool: String? = nil, isStar: Bool = false,
    chunkSize: Int? = nil, options: JobOptions? = nil
  ) {
    self.task = task
    self.items = items
    self.id = id
    self.pool = pool
    self.isStar = isStar
    self.chunkSize = chunkSize
    self.options = options
  }
}

/// Items that came one after the other and make a chunk.
public struct ChunkInput: Equatable, Sendable {
  /// How many, from 1.
  public var count: Int
  /// Their JSON array, minified.
  public var args: String

  /// Takes items.
  public init(count: Int, args: String) {
    self.count = count
    self.args = args
  }
}

/// The two orders in which a map's results can be read.
public enum MapOrder: String, CaseIterable, Sendable {
  /// That of the items.
  case input
  /// That in which their chunks ended.
  case completion
}
