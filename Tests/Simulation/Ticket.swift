import JobCore

/// One submission of a client, and all that was told about it. It knows nothing else.
final class Ticket {
  /// What was told of the job last.
  struct Told {
    /// At least this.
    var version: UInt32
    /// Of a final one, this.
    var finalVersion: UInt32?
    var handle: Handle
    /// Of a final one, the whole answer to a request for the handle.
    var body: [UInt8]?
    /// The newest record that was decided when it was told.
    var sequence: UInt64
  }

  /// Where it stands with its client.
  enum Standing: Equatable {
    /// Not sent, or refused: there must be no job.
    case none
    /// Sent, and the connection was lost: there may be a job.
    case unsure
    /// Accepted: there must be one job, unless it may have been dropped.
    case accepted
    /// The client was told that the job is dropped: there must be none.
    case dropped
  }

  let marker: Int
  let key: String?
  let clientID: String?
  /// Members of the submission beside task and args.
  let members: String
  let canTimeOut: Bool
  let failsOnInterrupt: Bool
  /// The pool that it names.
  let pool: String?

  var standing = Standing.none
  var id: String?
  /// The number of its job: an id can name another one after the first was dropped.
  var number: JobNumber?
  /// Whether it has had a job before this one.
  var isReborn = false
  /// Whether another payload was sent under its names.
  var isContested = false
  var told: Told?
  var timesSent = 0
  var acceptedAt: UInt64 = 0
  /// The newest request when it was accepted: what earlier ones hear may be older.
  var acceptedAfter = 0
  var droppedAt: UInt64 = 0
  var isCancelAsked = false
  /// When a cancel was accepted; nil: none was.
  var cancelledAt: UInt64?
  var isDropAsked = false
  /// It was refused because the journal took no records, in this life of the service.
  var wasRefusedUnwritten = false

  init(
    marker: Int, key: String?, clientID: String?, members: String, canTimeOut: Bool,
    failsOnInterrupt: Bool, pool: String?
  ) {
    self.marker = marker
    self.key = key
    self.clientID = clientID
    self.members = members
    self.canTimeOut = canTimeOut
    self.failsOnInterrupt = failsOnInterrupt
    self.pool = pool
  }

  var args: String { "[\(marker)]" }
  /// Whether it can be sent again without making a second job.
  var isRepeatable: Bool { key != nil || clientID != nil }

  /// The body of the request; another payload under the same names with `isOther`.
  func body(isOther: Bool = false) -> String {
    let id = clientID.map { #","id":"\#($0)""# } ?? ""
    return #"{"task":"work","args":[\#(isOther ? -marker : marker)]\#(id)\#(members)}"#
  }

  /// A new job was accepted under these names, after the one before was dropped.
  func begin(_ id: String, _ number: JobNumber?, at sequence: UInt64) {
    if self.id != nil { isReborn = true }
    standing = .accepted
    self.id = id
    self.number = number
    told = nil
    acceptedAt = sequence
    cancelledAt = nil
  }

  /// Its names are those of another job now, of which nothing was told.
  func isAnother(_ number: JobNumber) {
    self.number = number
    isReborn = true
    told = nil
    cancelledAt = nil
  }

  /// The power failed, and what came after this record was not promised to survive.
  func rollBack(to sequence: UInt64) {
    if standing == .accepted, acceptedAt > sequence { standing = .unsure }
    if standing == .dropped, droppedAt > sequence { standing = .unsure }
    if let told, told.sequence > sequence { self.told = nil }
    if let cancelledAt, cancelledAt > sequence { self.cancelledAt = nil }
  }
}
