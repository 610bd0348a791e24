import DequeModule
import HTTPServer
import JobCore

/// The texts of all chunks as one JSON array, sent as fast as the client takes it.
///
/// It takes the texts from the store before it sends them, some thousands a turn, and holds on to
/// them, so that a slow client's list is whole whatever becomes of the map. One that is dropped
/// while it is being gathered cuts the list off.
final class MapResultList {
  /// What is buffered for a client.
  static let bufferBytes = 256 << 10
  /// Chunks whose texts are taken in one turn.
  static let gatheredPerTurnMax = 4_096

  private let places: Deque<JobMap.Place>
  private let body: ResponseStream
  private var texts: [String] = []
  /// How many of the chunks have been looked at.
  private var gathered = 0
  /// How many texts were made part of a piece.
  private var next = 0
  private var piece: [UInt8] = []
  private var sent = 0
  /// Whether the client could take more than there is.
  private var isStarved = false

  /// A list that is sent to a client from `begin` on.
  ///
  /// - Parameter places: the chunks of a map that has succeeded, none of which was released.
  init(_ places: Deque<JobMap.Place>, to body: ResponseStream) {
    self.places = places
    self.body = body
    texts.reserveCapacity(min(places.count, MapResultList.gatheredPerTurnMax))
  }

  /// Takes the texts of the next chunks, and answers whether that was all.
  func gather(from store: JobStore) -> Bool {
    guard body.isOpen else { return true }
    let end = min(gathered + MapResultList.gatheredPerTurnMax, places.count)
    for place in places[gathered..<end] {
      guard let ending = store[place.job]?.ending else {
        body.fail()
        return true
      }
      if case .result(let text) = ending { texts.append(text) }
    }
    gathered = end
    if isStarved { feed() }
    return gathered == places.count
  }

  /// All of the list, of which everything was gathered; nil if the texts have more bytes than that.
  func whole(atMost bytesMax: Int) -> [UInt8]? {
    let bytes = texts.reduce(2) { $0 + $1.utf8.count }
    guard bytes <= bytesMax else { return nil }
    var body: [UInt8] = []
    body.reserveCapacity(bytes)
    body.append(UInt8(ascii: "["))
    MapResultList.append(texts[...], to: &body)
    body.append(UInt8(ascii: "]"))
    return body
  }

  /// Sends from now on.
  func begin() {
    // Held by what it feeds, until that is over.
    body.onWritable = { self.feed() }
    feed()
  }

  /// Writes until the buffer is full, or until more has to be gathered.
  private func feed() {
    isStarved = false
    while body.isOpen {
      if sent == piece.count {
        guard next < texts.count else {
          guard gathered == places.count else {
            isStarved = true
            return
          }
          body.write([UInt8(ascii: "]")])
          return body.finish()
        }
        takePiece()
      }
      let end = min(piece.count, sent + MapResultList.bufferBytes)
      let isTaken = piece.withUnsafeBytes {
        body.write(UnsafeRawBufferPointer(rebasing: $0[sent..<end]))
      }
      sent = end
      if !isTaken { return }
    }
  }

  private func takePiece() {
    piece.removeAll(keepingCapacity: true)
    sent = 0
    piece.append(next == 0 ? UInt8(ascii: "[") : UInt8(ascii: ","))
    let first = next
    var bytes = 0
    while next < texts.count, bytes < MapResultList.bufferBytes {
      bytes += texts[next].utf8.count
      next += 1
    }
    MapResultList.append(texts[first..<next], to: &piece)
  }

  /// Appends arrays without their brackets.
  private static func append(_ texts: ArraySlice<String>, to bytes: inout [UInt8]) {
    var isFirst = true
    for text in texts {
      if !isFirst { bytes.append(UInt8(ascii: ",")) }
      isFirst = false
      var text = text
      text.withUTF8 {
        bytes.append(contentsOf: UnsafeBufferPointer(rebasing: $0.dropFirst().dropLast()))
      }
    }
  }
}

extension Server {
  /// Goes on with the lists of maps with many chunks.
  func gatherResults() {
    guard !resultLists.isEmpty else { return }
    let store = engine.store
    resultLists.removeAll { $0.gather(from: store) }
  }
}
