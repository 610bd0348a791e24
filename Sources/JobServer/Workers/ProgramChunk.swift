import JSON
import JobCore

/// A chunk of a map that a pool of programs runs: one program for each item, one after the other,
/// all as one call.
final class ProgramChunk {
  private let assignment: Assignment
  private let isStar: Bool
  /// Where each item stands in the arguments.
  private let items: [Range<Int>]
  /// The item that runs.
  private var item = 0
  /// The values of those before, with what opens their array.
  private var values = Array("[".utf8)

  /// Nil for a call that is no chunk.
  init?(_ assignment: Assignment) {
    guard case .chunk(let isStar) = assignment.kind else { return nil }
    self.assignment = assignment
    self.isStar = isStar
    var items: [Range<Int>] = []
    var args = assignment.args
    args.withUTF8 { bytes in
      var elements = JSONElements(bytes)
      while let place = elements.next() { items.append(place) }
    }
    self.items = items
  }

  /// What is run for the first item.
  var first: Assignment { call(of: 0) }

  /// Takes what the item's program came to; answers what is run next, or nil when the chunk is
  /// over: `event` then says how, with `Event.ofChunk`.
  func next(after event: Event, resultBytesMax: Int) -> Assignment? {
    guard item + 1 < items.count, let value = event.value,
      values.count + value.utf8.count < resultBytesMax
    else { return nil }
    append(value)
    item += 1
    return call(of: item)
  }

  private func append(_ value: String) {
    if values.count > 1 { values.append(UInt8(ascii: ",")) }
    values.append(contentsOf: value.utf8)
  }

  private func call(of index: Int) -> Assignment {
    var args = assignment.args
    let text = args.withUTF8 { String(decoding: $0[items[index]], as: UTF8.self) }
    return Assignment(
      call: assignment.call, job: assignment.job, attempt: assignment.attempt,
      task: assignment.task, args: isStar ? text : "[\(text)]", kwargs: assignment.kwargs)
  }

  /// What the end of the item that ran is to the chunk.
  fileprivate func ending(_ event: Event) -> Event {
    if let value = event.value {
      guard item + 1 == items.count else {
        let error = RaisedError(
          code: .outputLimit, type: "OutputLimitPassed",
          message: "the values of the chunk are too long together; make it smaller")
        return .callRaised(assignment.call, named(error))
      }
      append(value)
      let text = String(decoding: values, as: UTF8.self) + "]"
      return .callReturned(assignment.call, result: text)
    }
    switch event {
    case .callRaised(let call, let error): return .callRaised(call, named(error))
    case .callLost(let call, .programFailed(let error)):
      return .callLost(call, .programFailed(named(error)))
    default: return event
    }
  }

  /// An error with its item, and the values before it.
  private func named(_ error: RaisedError) -> RaisedError {
    var error = error
    error.item = item
    error.values = String(decoding: values, as: UTF8.self) + "]"
    return error
  }
}

extension Event {
  /// The value that a call came to, as JSON text: bytes are the string of their base64.
  fileprivate var value: String? {
    switch self {
    case .callReturned(_, let text): text
    case .callReturnedBytes(_, let bytes): "\"\(bytes.base64)\""
    default: nil
    }
  }

  /// The end of a call that ran the last program of a chunk; of another call, itself.
  func ofChunk(_ chunk: ProgramChunk?) -> Event { chunk?.ending(self) ?? self }
}
