import JSON
import JobCore

/// What a worker answers for a chunk: as many values as items, or the error of one of them with the
/// values before it. It runs other people's code, so that this is looked at.
extension Server {
  /// An event as the engine is to hear of it.
  func checked(_ event: Event) -> Event {
    switch event {
    case .callReturned(let call, let result):
      guard let count = chunkCount(of: call), ChunkCheck.count(result) != count else {
        return event
      }
      let message = "the worker answered a chunk of \(count) items with something else"
      return .callRaised(call, RaisedError(type: "ProtocolError", message: message))
    case .callRaised(let call, let error):
      guard error.item != nil || error.values != nil else { return event }
      return .callRaised(call, checked(error, call))
    case .callLost(let call, .programFailed(let error)):
      return .callLost(call, .programFailed(checked(error, call)))
    default: return event
    }
  }

  private func checked(_ error: RaisedError, _ call: CallID) -> RaisedError {
    var error = error
    let isOfItem = error.item.map { (0..<(chunkCount(of: call) ?? 0)).contains($0) } ?? false
    let before = error.values.map(ChunkCheck.count) ?? 0
    guard isOfItem, before == error.item else {
      (error.item, error.values) = (nil, nil)
      return error
    }
    return error
  }

  private func chunkCount(of call: CallID) -> Int? {
    reading { engine in
      guard let number = engine.job(of: call) else { return nil }
      return engine.store[number]?.options?.chunk?.count
    }
  }
}

/// Counts what stands in texts that are valid JSON, minified.
enum ChunkCheck {
  /// How many elements an array has; nil for anything else.
  static func count(_ text: String) -> Int? {
    var text = text
    return text.withUTF8 { bytes in
      guard bytes.first == UInt8(ascii: "[") else { return nil }
      var elements = JSONElements(bytes)
      var count = 0
      while elements.next() != nil { count += 1 }
      return count
    }
  }
}
