import HTTPServer
import JSON
import JobCore

/// The items of a map that come one a line, cut into chunks while they arrive.
///
/// It parses what it is given and keeps what the engine may not take yet; when that is much, it
/// holds its stream, and so its client, back. What is in it is bounded: a line, a chunk that is
/// being made, and the chunks of one piece.
final class MapInput {
  /// Bytes of the text of a chunk at most, if its items were not counted by the client.
  private static let chunkBytesMax = 256 << 10
  /// How long an item waits for others at most, in milliseconds, if the client counted none.
  private static let delayMax: Milliseconds = 50
  /// Bytes that wait to be handed on before the client is held back.
  private static let readyBytesMax = 256 << 10

  let stream = RequestStream()
  /// Chunks that may be out in any case.
  let bufferSize: Int
  /// The map, once there is one.
  private(set) var map: MapNumber?
  /// Chunks that wait to be handed on.
  private(set) var ready: [ChunkInput] = []
  /// Why no more items come although the body may go on, or broke off.
  private(set) var error: InputError?
  /// Who is told when all items are handed on.
  var response: PendingResponse?
  /// How long that client waits for the end of the map, in milliseconds, and how it is told.
  let wait: Milliseconds
  let presentation: Presentation
  /// When the chunk that is being made is handed on, whatever it has.
  private(set) var flushAt: Instant?
  /// Whether no more of it could be handed on when it was looked at last.
  var isBlocked = false
  /// Whether the client is answered, or gone, and all is handed on.
  var isOver = false
  /// What keeps its pool from being ended while items come.
  var attendance: Attendance?
  /// Where it stands among the others.
  var place = MapInputs.Place()

  private let itemsMax: Int
  private let isCounted: Bool
  private let lineBytesMax: Int
  /// Bytes of a job's arguments at most, if its pool has a bound of its own.
  private var argumentBytesMax: Int?
  /// What came before the map, and so the pool, was known; and the break that followed it.
  private var early: [UInt8] = []
  private var earlyBreak: InputError?
  private var readyBytes = 0
  private var lineNumber = 0
  /// The beginning of a line whose end has not come.
  private var partial: [UInt8] = []
  private var chunk: [UInt8] = []
  private var count = 0

  /// - Parameter chunkSize: items of a chunk; nil: as many as come together.
  init(
    chunkSize: Int?, bufferSize: Int, lineBytesMax: Int, wait: Milliseconds,
    presentation: Presentation
  ) {
    itemsMax = chunkSize ?? Engine.streamedChunkMax
    isCounted = chunkSize != nil
    self.bufferSize = bufferSize
    self.lineBytesMax = lineBytesMax
    self.wait = wait
    self.presentation = presentation
  }

  /// Whether the body is whole.
  var isWhole: Bool { response != nil }

  /// The map is there: what came is cut into chunks, as what comes will be.
  ///
  /// - Parameter argumentBytesMax: bytes of a job's arguments at most, if its pool has a bound of
  ///   its own: chunks are made smaller then, and an item that passes it alone is an error.
  func open(_ number: MapNumber, argumentBytesMax: Int?, at instant: Instant) {
    map = number
    self.argumentBytesMax = argumentBytesMax
    let came = early
    early = []
    came.withUnsafeBytes { take($0, at: instant) }
    if let earlyBreak { return end(earlyBreak) }
    if isWhole { end() }
  }

  /// Takes a piece of the body.
  func take(_ bytes: UnsafeRawBufferPointer, at instant: Instant) {
    guard error == nil else { return }
    guard map != nil else {
      early.append(contentsOf: bytes)
      if early.count >= MapInput.readyBytesMax { stream.hold() }
      return
    }
    var rest = bytes.bindMemory(to: UInt8.self)[...]
    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
      takeLine(UnsafeBufferPointer(rebasing: rest[..<end]))
      if error != nil { return }
      rest = rest[(end + 1)...]
    }
    if partial.count + rest.count > lineBytesMax {
      return fail("line \(lineNumber + 1) has more than \(lineBytesMax) bytes")
    }
    partial.append(contentsOf: rest)
    if count > 0, !isCounted, flushAt == nil {
      flushAt = instant.advanced(byMilliseconds: MapInput.delayMax)
    }
    if readyBytes >= MapInput.readyBytesMax { stream.hold() }
  }

  /// The body is over: what there is becomes chunks.
  func end() {
    guard map != nil else { return }
    if error == nil, !partial.isEmpty {
      takeLine(UnsafeBufferPointer(start: nil, count: 0))
    }
    close()
  }

  /// The body broke off, or no more of it is wanted. A line whose end did not come does not count.
  func end(_ reason: InputError) {
    guard map != nil else {
      earlyBreak = reason
      return
    }
    close()
    if error == nil { error = reason }
  }

  /// Makes a chunk of what there is.
  func close() {
    flushAt = nil
    guard count > 0 else { return }
    chunk.append(UInt8(ascii: "]"))
    ready.append(ChunkInput(count: count, args: String(decoding: chunk, as: UTF8.self)))
    readyBytes += chunk.count
    chunk.removeAll(keepingCapacity: chunk.capacity <= 2 * MapInput.chunkBytesMax)
    count = 0
  }

  /// Hands over the chunks that wait.
  func takeReady() -> [ChunkInput] {
    defer {
      ready = []
      readyBytes = 0
    }
    return ready
  }

  private func takeLine(_ rest: UnsafeBufferPointer<UInt8>) {
    lineNumber += 1
    if partial.isEmpty { return takeWholeLine(rest) }
    partial.append(contentsOf: rest)
    partial.withUnsafeBufferPointer { takeWholeLine($0) }
    partial.removeAll(keepingCapacity: partial.capacity <= MapInput.chunkBytesMax)
  }

  private func takeWholeLine(_ line: UnsafeBufferPointer<UInt8>) {
    guard line.count <= lineBytesMax else {
      return fail("line \(lineNumber) has more than \(lineBytesMax) bytes")
    }
    // Lines of nothing are no items; any other must be one.
    guard line.contains(where: { $0 > 0x20 }) else { return }
    let length = beginItem()
    do throws(JSONError) {
      var reader = JSONReader(line)
      try reader.appendText(to: &chunk)
      try reader.end()
    } catch {
      chunk.removeSubrange(length...)
      return fail("line \(lineNumber) is not JSON: \(error)")
    }
    let most = argumentBytesMax ?? lineBytesMax
    if count > 0, chunk.count + 1 > most { moveLastItem(from: length) }
    if count == 0, let bound = argumentBytesMax, chunk.count + 1 > bound {
      let bytes = chunk.count + 1
      chunk.removeAll()
      return fail(
        "line \(lineNumber) makes arguments of \(bytes) bytes; a job of its pool may have \(bound)")
    }
    count += 1
    if count >= itemsMax || chunk.count >= min(most, isCounted ? most : MapInput.chunkBytesMax) {
      close()
    }
  }

  /// What stands before an item. Returns where that begins.
  private func beginItem() -> Int {
    let length = chunk.count
    chunk.append(UInt8(ascii: count == 0 ? "[" : ","))
    return length
  }

  /// The item that begins at `length`, with its comma, is the first of the next chunk: the one that
  /// is being made has no room for it.
  private func moveLastItem(from length: Int) {
    let item = Array(chunk[(length + 1)...])
    chunk.removeSubrange(length...)
    close()
    _ = beginItem()
    chunk += item
  }

  private func fail(_ message: String) {
    close()
    error = InputError(.invalidItem, message)
  }
}
