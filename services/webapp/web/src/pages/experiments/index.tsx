import { PageHead } from '../../ui/page'

export default function ExperimentsPage() {
  return (
    <>
      <PageHead title="Experiments" />
      <p>This page is being made.</p>
    </>
  )
}
