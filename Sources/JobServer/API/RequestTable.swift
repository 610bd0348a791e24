import JobCore

/// The requests whose answer the engine decides, by the id that the engine knows them by. An id is
/// given again once its request was answered, which happens exactly once.
///
/// Of a request with many submissions each has an id of its own: the highest bit, the place of the
/// request, and 14 bits for the submission's index.
struct RequestTable {
  private static let itemFlag: RequestID = 1 << 63
  private static let itemBits: RequestID = 14
  private static let itemMask: RequestID = 1 << itemBits - 1

  private var places: [Server.Request?] = []
  private var free: [RequestID] = []
  private var bulks: [Server.BulkAnswer?] = []
  private var freeBulks: [Int] = []

  /// Keeps a request until it is answered.
  mutating func add(_ request: Server.Request) -> RequestID {
    if let id = free.popLast() {
      places[Int(id)] = request
      return id
    }
    places.append(request)
    return RequestID(places.count - 1)
  }

  /// Takes out a request, to answer it; nil when that was done.
  mutating func remove(_ id: RequestID) -> Server.Request? {
    guard let request = places[Int(id)].take() else { return nil }
    free.append(id)
    return request
  }

  // MARK: Requests with many submissions

  /// Keeps a request with many submissions until it is answered. Answers the id of the first.
  mutating func add(_ bulk: Server.BulkAnswer) -> RequestID {
    precondition(bulk.group.items.count <= Int(RequestTable.itemMask) + 1, "too many submissions")
    let place = freeBulks.popLast() ?? bulks.count
    if place == bulks.count { bulks.append(bulk) } else { bulks[place] = bulk }
    return RequestTable.itemFlag | RequestID(place) << RequestTable.itemBits
  }

  /// The id of a further submission of the same request.
  static func item(_ index: Int, of first: RequestID) -> RequestID {
    first & ~itemMask | RequestID(index)
  }

  /// Whether an id is that of a submission among many.
  static func isItem(_ id: RequestID) -> Bool { id & itemFlag != 0 }

  /// Which of the submissions of its request it is.
  static func itemIndex(of id: RequestID) -> Int { Int(id & itemMask) }

  /// The request that a submission belongs to; nil when it was answered.
  func bulk(of id: RequestID) -> Server.BulkAnswer? {
    bulks[RequestTable.bulkPlace(of: id)]
  }

  /// Forgets a request with many submissions, as it is answered.
  mutating func removeBulk(of id: RequestID) {
    let place = RequestTable.bulkPlace(of: id)
    bulks[place] = nil
    freeBulks.append(place)
  }

  private static func bulkPlace(of id: RequestID) -> Int {
    Int((id & ~itemFlag) >> itemBits)
  }
}
