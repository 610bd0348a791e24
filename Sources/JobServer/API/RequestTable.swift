import JobCore

/// The requests whose answer the engine decides, by the id that the engine knows them by. An id is
/// given again once its request was answered, which happens exactly once.
struct RequestTable {
  private var places: [Server.Request?] = []
  private var free: [RequestID] = []

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
}
