/** Drives applications with transactional producers through a schedule, and looks at the cluster when all is over. */
import { Producer } from '../../src/index.js'
import type { ProducerMetrics } from '../../src/metrics.js'
import type { Clock } from '../../src/time/clock.js'
import type { CommittedOffset } from '../../src/testing/coordinators/group-coordinator.js'
import type { ReceivedRequest } from '../../src/testing/broker/request-context.js'
import type { StoredRecord } from '../../src/testing/test-cluster.js'
import { Application, groupName, INPUT, member } from './application.js'
import { inspector } from '../producer/places.js'
import { configOf, deliveryTimeoutOf, hooksOf, seededRandom, type OnHook } from './producer-config.js'
import type { TransactionSchedule, TransactionStep } from './transaction-schedule.js'
import { inVirtualTime, type VirtualTime } from './virtual-time.js'
import { World, type Loss } from './world.js'

const GROUPS = [0, 1].map(groupName)
/** More offsets than that no schedule commits. */
const INPUTS = 2000

/** After everything is well again a record of any partition is committed within lingerMs and this. */
const SOON_MS = 2000

export interface Closed {
  readonly application: Application
  readonly calledAt: number
  readonly timeoutMs: number | null
  endedAt: number
  left: { readonly timers: number; readonly metrics: ProducerMetrics } | null
}

export interface TransactionRun {
  readonly schedule: TransactionSchedule
  readonly applications: readonly Application[]
  /** Of these, who came after all others were closed, to end what they left open. */
  readonly successors: readonly Application[]
  readonly closes: readonly Closed[]
  /** What read_committed shows at the end, by topic. */
  readonly committed: ReadonlyMap<string, readonly StoredRecord[]>
  readonly offsets: ReadonlyMap<string, readonly CommittedOffset[]>
  /** Partitions where a transaction is still open at the end, and their topics. */
  readonly hanging: readonly { readonly topic: string; readonly partition: number }[]
  /** Topics that were deleted and created again, and what they held then. */
  readonly losses: readonly Loss[]
  readonly journal: readonly ReceivedRequest[]
  readonly openSockets: number
  readonly problems: readonly string[]
}

export function runTransactions(schedule: TransactionSchedule): Promise<TransactionRun> {
  return inVirtualTime((time) => run(schedule, time))
}

async function run(schedule: TransactionSchedule, time: VirtualTime): Promise<TransactionRun> {
  const { transactionVersion, markerDelayMs: transactionMarkerDelayMs, firstEpoch } = schedule
  const world = await World.start(time, schedule, {
    transactionVersion,
    transactionMarkerDelayMs,
    firstProducerEpoch: firstEpoch,
  })
  const { cluster } = world
  cluster.createTopic(INPUT, { partitions: INPUTS, replicationFactor: 1 })
  const generations = GROUPS.map(() => member.generationId)
  for (const group of GROUPS)
    cluster.setGroup(group, { generationId: 1, members: [{ memberId: member.memberId }] })

  const problems: string[] = []
  const applications: Application[] = []
  const clocks = new Map<Application, Clock & { readonly timers: number }>()
  const closes: Closed[] = []
  let numbers = 0
  let inputs = 0
  const random = seededRandom(schedule.seed)
  const parts = {
    time,
    world,
    nextNumber: () => numbers++,
    nextInput: () => inputs++ % INPUTS,
    problem: (text: string) => problems.push(text),
  }

  const launch = (transactionalId: string, plan: object = {}): Application => {
    const name = `app-${applications.length}`
    const clock = time.clock()
    const inspect = inspector((problem) => problems.push(problem))
    const seams = { clock, random, connect: world.connect, lookup: world.lookup, inspect }
    const armed: Extract<TransactionStep, { do: 'hook' }>[] = []
    let application = null as Application | null
    const onHook: OnHook = (hook) => {
      const next = armed.findIndex(({ at }) => at === hook)
      if (next !== -1) application?.callFromHook(armed.splice(next, 1)[0]!.call)
    }
    const { isHooked, ...config } = schedule.producer
    const producer = new Producer({
      ...configOf(config, world, seams, onHook),
      ...(isHooked ? hooksOf(onHook) : {}),
      // A coordinator whose epochs are used up, and that fences with one more by itself, is broken from then on.
      ...(firstEpoch > 0 ? { transactionTimeoutMs: 300_000 } : {}),
      ...plan,
      clientId: name,
      transactionalId,
    })
    application = new Application(name, transactionalId, producer, parts, armed)
    clocks.set(application, clock)
    applications.push(application)
    return application
  }

  const close = (application: Application, timeoutMs: number | null): void => {
    const one: Closed = { application, calledAt: time.now, timeoutMs, endedAt: -1, left: null }
    closes.push(one)
    application.close(timeoutMs).then(
      () => {
        one.endedAt = time.now
        void time.turn().then(() => {
          one.left = { timers: clocks.get(application)!.timers, metrics: application.producer.metrics() }
        })
      },
      (error: unknown) => problems.push(`close rejected: ${String(error)}`),
    )
  }

  const act = async (step: TransactionStep): Promise<void> => {
    switch (step.do) {
      case 'transaction':
        applications[step.who % applications.length]!.perform(step.plan)
        return
      case 'stray':
        applications[step.who % applications.length]!.stray(step.call)
        return
      case 'hook':
        applications[step.who % applications.length]!.armed.push(step)
        return
      case 'takeover':
        launch(applications[step.who % applications.length]!.transactionalId)
        return
      case 'close':
        close(applications[step.who % applications.length]!, step.timeoutMs)
        return
      case 'wait':
        await time.pass(step.ms)
        return
      case 'turns':
        for (let i = 0; i < step.count; i++) await time.turn()
        return
      case 'move-coordinator': {
        const keys =
          step.type === 'group' ? GROUPS : applications.map(({ transactionalId }) => transactionalId)
        cluster.moveCoordinator(step.type, keys[step.of % keys.length]!, ...(step.isAway ? [-1] : []))
        return
      }
      case 'transaction-version':
        cluster.setTransactionVersion(step.level)
        return
      case 'rebalance':
        cluster.setGroup(GROUPS[step.group]!, {
          generationId: ++generations[step.group]!,
          members: [{ memberId: member.memberId }],
        })
        return
      case 'heal':
        await healAll()
        return
      case 'fault':
      case 'move-leader':
      case 'set-isr':
      case 'pause':
      case 'resume':
      case 'stop':
      case 'start':
      case 'cut':
      case 'silence':
      case 'stall':
      case 'truncate':
      case 'add-partition':
      case 'recreate':
      case 'lose-log':
      case 'forget-producers':
      case 'freeze':
      case 'thaw':
        await world.act(step)
        return
    }
  }

  const heal = (): void => {
    for (const group of GROUPS)
      if (cluster.coordinator('group', group) === -1) cluster.moveCoordinator('group', group)
    for (const { transactionalId } of applications)
      if (cluster.coordinator('transaction', transactionalId) === -1)
        cluster.moveCoordinator('transaction', transactionalId)
  }
  const healAll = async (): Promise<void> => {
    await world.heal()
    heal()
  }
  const isIdle = (): boolean => applications.every(({ busy }) => busy === 0)

  for (let id = 0; id < schedule.ids; id++) launch(`id-${id}`)
  for (const step of schedule.steps) await act(step)
  if (schedule.isHealedBeforeClose) {
    await healAll()
    for (const application of applications) if (!application.isOver) application.prove()
    // Each call takes at most maxBlockMs, and applications have patience.
    if (!(await time.run(isIdle, time.now + 100_000_000))) problems.push('an application never gets done')
    // A record that is given up before the markers of the last transaction can be written proves nothing.
    const isStuck = schedule.producer.compression === 'stuck'
    if (
      schedule.isProved &&
      !isStuck &&
      deliveryTimeoutOf(schedule.producer) > 2 * transactionMarkerDelayMs
    ) {
      await world.mend()
      const soonMs = schedule.producer.lingerMs + SOON_MS
      for (const application of applications)
        if (!application.isOver) application.proveSoon(world.partitions(), soonMs)
      if (!(await time.run(isIdle, time.now + 100_000_000))) problems.push('a proof never gets done')
    }
  }
  for (const application of applications)
    if (application.closedAt === -1) close(application, schedule.closeTimeoutMs)
  const { maxBlockMs, requestTimeoutMs } = schedule.producer
  const patience = deliveryTimeoutOf(schedule.producer) + maxBlockMs + requestTimeoutMs + 1
  const areClosed = await time.run(() => closes.every(({ endedAt }) => endedAt !== -1), time.now + patience)
  await time.turn()
  if (!areClosed) problems.push(`close has not ended after ${patience} ms`)
  const { openSockets } = world

  // Successors end what is open; what the network and stopped brokers still hold arrives now, before and after.
  await healAll()
  const ids = [...new Set(applications.map(({ transactionalId }) => transactionalId))]
  const successors = ids.map((id) => launch(id, { ...sturdy }))
  for (const successor of successors) successor.prove()
  if (!(await time.run(isIdle, time.now + 100_000_000))) problems.push('a successor never gets done')
  for (const successor of successors) close(successor, null)
  await time.run(() => false, Infinity)
  await time.turn()
  // A codec has the memory that it works on, also beyond the close.
  if (schedule.producer.compression !== 'none')
    for (const one of closes)
      if (one.left !== null)
        one.left = { timers: one.left.timers, metrics: one.application.producer.metrics() }

  const committed = new Map(
    world.topicNames.map((name) => [name, cluster.records(name, { isolation: 'read_committed' })]),
  )
  const hanging: { topic: string; partition: number }[] = []
  for (const name of world.topicNames) {
    for (let partition = 0; partition < world.partitionCount(name); partition++) {
      const { endOffset, lastStableOffset } = cluster.describeLog(name, partition)
      if (endOffset !== lastStableOffset) hanging.push({ topic: name, partition })
    }
  }
  const offsets = new Map(GROUPS.map((group) => [group, cluster.committedOffsets(group)]))
  await cluster.close()
  return {
    schedule,
    applications,
    successors,
    closes,
    committed,
    offsets,
    hanging,
    losses: world.losses,
    journal: cluster.requests,
    openSockets,
    problems: [...problems, ...time.thrown.map((error) => `thrown: ${(error as Error).stack}`)],
  }
}

/** A successor takes its time. */
const sturdy = {
  maxBlockMs: 60_000,
  bufferMemory: 33_554_432,
  maxRequestSize: 1_048_576,
  requestTimeoutMs: 1000,
  deliveryTimeoutMs: 30_000,
  transactionTimeoutMs: 300_000,
}
