/// What the engine does with maps from turn to turn, in slices, so that no turn takes long.
extension Engine {
  /// What is under way with maps; nothing of it is durable.
  struct MapWork: Equatable, Sendable {
    /// A document whose items are not all jobs yet.
    struct Document: Equatable, Sendable {
      let map: MapNumber
      let items: MapItems
      var next = 0
      let request: RequestID
      /// Requests that ask for the same meanwhile.
      var repeats: [RequestID] = []

      /// All who wait for an answer.
      var requests: [RequestID] { [request] + repeats }

      /// What all of them hear once there is no more to come.
      var answers: [Effect] {
        [.answer(request, .accepted(map, isReplay: false))]
          + repeats.map { .answer($0, .accepted(map, isReplay: true)) }
      }
    }

    /// How many lines the reader that is furthest has been sent, and has surely received.
    struct Read: Equatable, Sendable {
      var sent = 0
      var received = 0
    }

    /// What was read in each order.
    struct Taken: Equatable, Sendable {
      var input = Read()
      var completion = Read()
    }

    var documents: [Document] = []
    /// Cancelled maps with chunks that wait, and the last of them that was looked at.
    var cancelled: [(map: MapNumber, last: JobNumber)] = []
    /// Of maps whose items come one after the other.
    var taken: [MapNumber: Taken] = [:]

    /// Whether there is nothing to do.
    var isEmpty: Bool { documents.isEmpty && cancelled.isEmpty }

    static func == (lhs: MapWork, rhs: MapWork) -> Bool {
      lhs.documents == rhs.documents && lhs.taken == rhs.taken
        && lhs.cancelled.elementsEqual(rhs.cancelled) { $0 == $1 }
    }
  }

  /// Goes on with what is under way.
  mutating func workOnMaps(at moment: Moment, _ turn: inout Turn) {
    if !mapWork.documents.isEmpty { cutDocument(at: moment, &turn) }
    cancelChunks(at: moment, &turn)
  }
}
